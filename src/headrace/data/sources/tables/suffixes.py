"""Names of tables, and where the files lie that a table names."""

from __future__ import annotations

import re

from headrace.media import medium as medium_named

# Of equal tables in several formats, the first of these is read.
SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".json")
_TABLE = re.compile(
    rf"({'|'.join(map(re.escape, SUFFIXES))})(\.gz|\.bz2|\.xz)*\Z", re.ASCII | re.I
)


def table_suffix(name: str) -> str:
    """The suffix of a table's format in a name; empty for other names."""
    match = _TABLE.search(name)
    return match[1].lower() if match else ""


def folder_of(uri: str, medium: str) -> str:
    """The folder of a table whose rows name files beside it; empty for other URIs.

    Texts are in their tables, and Parquet may hold the items of any medium.
    """
    suffix = table_suffix(uri)
    if not suffix or suffix == SUFFIXES[0] or "::" in uri or not medium:
        return ""
    if medium_named(medium).IS_TEXT:
        return ""
    place, slash, _ = uri.rpartition("/")
    return place or slash or "."


def stem_of(name: str) -> str:
    """The name of a table without its format's suffixes."""
    return _TABLE.sub("", name)
