"""The options of file systems that sources are read from: keys, headers, logins.

``HEADRACE_STORAGE_OPTIONS`` is a JSON object. A key of it is a protocol (``s3``) or
how a URI begins (``https://data.example/``); a value is what fsspec's file system
takes. They are kept in memory only.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.credentials import OPTIONS
from headrace.errors import UsageError

if TYPE_CHECKING:
    from headrace.settings import Settings

_EXAMPLE = """{"https://data.example/": {"headers": {"Authorization": "..."}}}"""


def storage_options(uri: str, settings: Settings) -> dict[str, Any]:
    """The options for a URI: those of its protocol, and over them of its beginning.

    Of several beginnings the longest counts. One ends at a border of the URI, so that
    ``https://data.example`` is not how ``https://data.example.org/`` begins.

    Raises:
        UsageError: the setting is no JSON object of objects. It is not repeated.
    """
    text = settings.storage_options.get_secret_value().strip()
    if not text or "://" not in uri:
        return {}
    table = _parsed(text)
    parts = uri.split("::")  # fsspec's chain: each has options of its own, by protocol
    if len(parts) == 1:
        return _options(uri, table)
    by_protocol = {part.partition("://")[0]: _options(part, table) for part in parts}
    return {protocol: options for protocol, options in by_protocol.items() if options}


def _options(uri: str, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    protocol = uri.partition("://")[0]
    begins = [key for key in table if "://" in key and _begins(uri, key)]
    return {
        **table.get(protocol, {}),
        **(table[max(begins, key=len)] if begins else {}),
    }


def _begins(uri: str, key: str) -> bool:
    rest = uri.removeprefix(key)
    return uri.startswith(key) and (key.endswith("/") or rest[:1] in ("", *"/?#"))


def _parsed(text: str) -> dict[str, dict[str, Any]]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        place = f" at character {error.pos}" if hasattr(error, "pos") else ""
        raise UsageError(f"{OPTIONS} is no JSON{place}.", _action()) from None
    if not isinstance(table, dict):
        raise UsageError(f"{OPTIONS} is no JSON object.", _action())
    for key, value in table.items():
        if not isinstance(value, dict):
            raise UsageError(
                f"{OPTIONS}: the value of {key!r} is no object.", _action()
            )
    return table


def _action() -> str:
    return f"Write it as {_EXAMPLE}."
