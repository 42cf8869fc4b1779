"""Readers of file formats, a module each, found by place or by an entry point.

Each checks in turn whether opened data has its format, by content, never by suffix.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from headrace.errors import UsageError
from headrace.imports import extensions

if TYPE_CHECKING:
    from headrace.data.sources.places.files import File
    from headrace.data.sources.places.trees import FileTree
    from headrace.media.chunks import Chunk, Source
    from headrace.settings import Settings

log = logging.getLogger("headrace")


class Reader(Protocol):
    """The interface of a reader.

    Attributes:
        RANK: readers are tried from the lowest to the highest; without it, 0.
    """

    RANK: int

    def read(
        self, data: File | FileTree, head: bytes, source: Source, settings: Settings
    ) -> Iterator[Chunk] | None:
        """The rows; None if the data has another format.

        Args:
            data: a file, or the files of a folder or of an archive.
            head: the first 512 bytes of the file or the archive; empty for a folder.
            source: how to read it, and where findings and notes go. Its kind becomes
                the reader's name, unless the reader sets it; pipelines can name columns
                of the kinds `table` and `listed`.

        Raises:
            SourceError: the data is damaged, or over the limits of the settings.
        """


@functools.cache
def readers() -> dict[str, Reader]:
    """All readers by name, in the order in which they are tried.

    A reader of a package that cannot be imported is left out with a warning.
    """
    modules: dict[str, Reader] = {}
    for name in extensions.modules("sources"):
        try:
            modules[name] = extensions.load("sources", name)
        except UsageError as error:
            log.warning("%s It is left out.", error)
    return dict(sorted(modules.items(), key=lambda pair: getattr(pair[1], "RANK", 0)))
