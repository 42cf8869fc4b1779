"""Readers of single files, one format a file, found by their place or entry point.

A reader is asked before the formats that the other rooms know. It gives what `Reader`
lists; its name is the kind of the source.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from headrace import extensions

if TYPE_CHECKING:
    from headrace.data.sources.places.files import File
    from headrace.media.chunks import Chunk, Source
    from headrace.settings import Settings


class Reader(Protocol):
    """What a module here gives."""

    def opens(self, file: File, head: bytes) -> bool:
        """Whether a file is of the format, by its first 512 bytes."""

    def read(self, file: File, source: Source, settings: Settings) -> Iterator[Chunk]:
        """Its rows. SourceError where it is damaged or over the settings' limits.

        Args:
            file: the file.
            source: says how it is read; findings and notes go to it.
            settings: their limits are kept.
        """


def find_reader(file: File, head: bytes) -> tuple[str, Reader] | None:
    """The name of a reader that opens a file, and the reader."""
    for name, module in extensions.modules("sources").items():
        reader: Reader = importlib.import_module(module).READER
        if reader.opens(file, head):
            return name, reader
    return None
