"""Readers, one format a file, found by their place or by an entry point.

Each is asked in turn whether what is opened is of its format: this is decided by the
content, never by a suffix.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast

from headrace import extensions

if TYPE_CHECKING:
    from headrace.data.sources.places.files import File
    from headrace.data.sources.places.trees import FileTree
    from headrace.media.chunks import Chunk, Source
    from headrace.settings import Settings


class Reader(Protocol):
    """What a module here provides.

    Attributes:
        RANK: readers are asked from the lowest to the highest; without it, 0.
    """

    RANK: int

    def read(
        self, data: File | FileTree, head: bytes, source: Source, settings: Settings
    ) -> Iterator[Chunk] | None:
        """The rows; None where the data is of another format.

        Args:
            data: a file, or the files of a folder or of an archive.
            head: the first 512 bytes of the file or the archive; of a folder, none.
            source: says how it is read; findings and notes go to it. Its kind becomes
                the reader's name, unless the reader sets one: `table` and `listed`
                are those in which columns can be named.
            settings: their limits are kept.

        Raises:
            SourceError: the data is damaged, or over the limits.
        """


@functools.cache
def readers() -> dict[str, Reader]:
    """All readers by name, in the order in which they are asked."""
    found = {
        name: cast(Reader, importlib.import_module(module))
        for name, module in extensions.modules("sources").items()
    }
    return dict(sorted(found.items(), key=lambda pair: getattr(pair[1], "RANK", 0)))
