"""Options of the file systems that sources are read from: keys, headers, logins.

``HEADRACE_STORAGE_OPTIONS`` is a JSON object. Its keys are protocols (``s3``) or
prefixes of URIs (``https://data.example/``); its values are arguments of fsspec's file
system. They are never written to disk.
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
    """The options for a URI: those of its protocol, updated by those of its prefix.

    Of several matching prefixes the longest counts. A prefix ends at a delimiter, so
    ``https://data.example`` is not a prefix of ``https://data.example.org/``.

    Raises:
        UsageError: the setting is not a JSON object of objects. The message does not
            repeat its value.
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
        raise UsageError(f"{OPTIONS} is not valid JSON{place}.", _action()) from None
    if not isinstance(table, dict):
        raise UsageError(f"{OPTIONS} is not a JSON object.", _action())
    for key, value in table.items():
        if not isinstance(value, dict):
            raise UsageError(
                f"{OPTIONS}: the value of {key!r} is not an object.", _action()
            )
    return table


def _action() -> str:
    return f"Write it as {_EXAMPLE}."
