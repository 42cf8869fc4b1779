"""Parquet: one table, or several in a folder or an archive."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, ignored_files
from headrace.data.sources.tables.table import MAGIC, has_items, read_tables
from headrace.media.chunks import Chunk, Source
from headrace.settings import Settings

RANK = 40


def read(
    data: File | FileTree, head: bytes, source: Source, settings: Settings
) -> Iterator[Chunk] | None:
    """The rows of the tables that hold items; None where there are none."""
    if isinstance(data, File):
        tables = {"": data} if head.startswith(MAGIC) else {}
    else:
        tables = {
            name: file
            for name, file in data.files.items()
            if _is_parquet(name, file) and has_items(file, settings)
        }
        others = [name for name in data.files if name not in tables] if tables else []
        source.findings.extend(ignored_files(data.where, others))
    if not tables:
        return None
    source.kind = "table"
    return read_tables(tables, settings, source.reading)


def _is_parquet(name: str, file: File) -> bool:
    if name.lower().endswith(".parquet"):
        return True
    return "/" not in name and file.head(len(MAGIC)) == MAGIC
