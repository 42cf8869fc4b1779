"""Options of the file systems that sources are read from: keys, headers, logins.

``HEADRACE_STORAGE_OPTIONS`` is a JSON object. Its keys are protocols (``s3``) or
URI prefixes (``https://data.example/``); its values are arguments of fsspec's file
systems. They are never written to disk.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from headrace.credentials import OPTIONS
from headrace.errors import UsageError

if TYPE_CHECKING:
    from headrace.settings import Settings

_ACTION = (
    'Write it as {"https://data.example/": {"headers": {"Authorization": "..."}}}.'
)


def storage_options(uri: str, settings: Settings) -> dict[str, Any]:
    """The options for a URI: those of its protocol, updated by those of its prefix.

    The longest matching prefix counts. A prefix ends at a delimiter, so
    ``https://data.example`` is not a prefix of ``https://data.example.org/``.

    Raises:
        UsageError: the setting is not a JSON object of objects. The message does not
            repeat its value.
    """
    text = settings.storage_options.get_secret_value().strip()
    if not text or "://" not in uri:
        return {}
    table = _parse(text)
    parts = uri.split("::")  # fsspec's URL chaining: options by protocol
    if len(parts) == 1:
        return _options(uri, table)
    by_protocol = {part.partition("://")[0]: _options(part, table) for part in parts}
    return {protocol: options for protocol, options in by_protocol.items() if options}


def _options(uri: str, table: dict[str, dict[str, Any]]) -> dict[str, Any]:
    protocol = uri.partition("://")[0]
    prefixes = [key for key in table if "://" in key and _has_prefix(uri, key)]
    options = table[max(prefixes, key=len)] if prefixes else {}
    return {**table.get(protocol, {}), **options}


def _has_prefix(uri: str, key: str) -> bool:
    rest = uri.removeprefix(key)
    return uri.startswith(key) and (key.endswith("/") or rest[:1] in ("", *"/?#"))


def _parse(text: str) -> dict[str, dict[str, Any]]:
    try:
        table = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" at character {error.pos}" if hasattr(error, "pos") else ""
        raise UsageError(f"{OPTIONS} is not valid JSON{where}.", _ACTION) from None
    if not isinstance(table, dict):
        raise UsageError(f"{OPTIONS} is not a JSON object.", _ACTION)
    for key, value in table.items():
        if not isinstance(value, dict):
            what = f"the value of {key!r}"
            raise UsageError(f"{OPTIONS}: {what} is not an object.", _ACTION)
    return table
