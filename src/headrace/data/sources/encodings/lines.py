"""The lines of a file of text, of a bounded length."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Iterator

from headrace.data.sources.encodings.detection import Encoding
from headrace.data.sources.places.files import File
from headrace.errors import SourceError

LINE_LIMIT = 2**24


@contextlib.contextmanager
def open_text(
    file: File, encoding: Encoding, newline: str = "\n"
) -> Iterator[io.TextIOWrapper]:
    """Open a file as text, with line ends as they are.

    Args:
        file: unpacked, if it was compressed.
        newline: ends a line; if empty, a carriage return does too.

    Raises:
        SourceError: the file is no longer in that encoding.
    """
    with file.open() as stream:
        text = io.TextIOWrapper(
            stream, encoding.codec, encoding.errors, newline=newline
        )
        try:
            yield text
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{file.where} is not {encoding.name} any more: {error.reason}.",
                "Do not change the data while it is read; run it again.",
            ) from None
        finally:
            with contextlib.suppress(ValueError):
                text.detach()


def lines_of(text: io.TextIOWrapper, where: str) -> Iterator[str]:
    """The lines, with their ends.

    Raises:
        SourceError: a line is over 16 Mi characters.
    """
    read = functools.partial(text.readline, LINE_LIMIT + 1)
    for number, line in enumerate(iter(read, ""), 1):
        if len(line) > LINE_LIMIT:
            raise SourceError(
                f"{where}, line {number:,}, has over {LINE_LIMIT:,} characters.",
                "Give a table with one row a line.",
            )
        # Concatenated files have a byte order mark in the middle.
        yield line.removeprefix("\ufeff")
