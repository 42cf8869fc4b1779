"""Files that gzip, bzip2 or xz packed, unpacked within limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from _compression import DecompressReader
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import IO, Any, cast

from headrace.data.sources.places.files import File, check_limits
from headrace.errors import LimitError
from headrace.settings import Settings

_SLACK = 2**20


def _strict(decompressor: Any, raw: Any) -> io.BufferedReader:
    """Streams one after the other; other bytes between or after them are an error.

    `bz2` and `lzma` would leave out all that follows such bytes.
    """
    return io.BufferedReader(DecompressReader(raw, decompressor))


_OPENERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": partial(_strict, bz2.BZ2Decompressor),
    b"\xfd7zXZ\x00": partial(_strict, lzma.LZMADecompressor),
}


def _decompressed(stream: IO[bytes], head: bytes) -> IO[bytes]:
    for magic, opener in _OPENERS.items():
        if head.startswith(magic):
            return cast(IO[bytes], opener(stream))
    return stream


class Bounded(io.RawIOBase):
    """A stream that refuses to read more than the settings allow.

    Args:
        file: is opened, and unpacked if it is packed.
        settings: with the limits on all bytes, and on those of one piece.
    """

    def __init__(self, file: File, settings: Settings) -> None:
        self._where = file.where
        self._settings = settings
        head = file.head(6)
        self._raw = file.opener()
        self._stream = _decompressed(self._raw, head)

    def read(self, size: int = -1) -> bytes:
        """Read bytes within the limits."""
        most = self._settings.max_file_bytes + _SLACK
        left = self._settings.max_bytes + 1 - self._stream.tell()
        data = self._stream.read(min(left, most + 1 if size < 0 else size, most + 1))
        if len(data) > most:
            raise LimitError(
                f"{self._where} asks for over {most:,} bytes in one piece, such as a "
                "name.",
                "Make the archive again, or raise HEADRACE_MAX_FILE_BYTES.",
            )
        check_limits(self._where, 0, self._stream.tell(), self._settings)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; what is packed is read up to it."""
        if whence == io.SEEK_SET:
            check_limits(self._where, 0, offset, self._settings)
        return self._stream.seek(offset, whence)

    def seekable(self) -> bool:
        """Always: decompressors begin again."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close the streams."""
        self._stream.close()
        self._raw.close()
        super().close()


def unpacked_head(file: File) -> bytes:
    """The first 512 bytes of a file, decompressed if it is gzip, bzip2 or xz."""
    with file.open() as raw, _decompressed(raw, file.head(6)) as stream:
        return stream.read(512)


def unpacked(file: File, settings: Settings) -> File:
    """A file, decompressed within limits if it is gzip, bzip2 or xz."""
    is_packed = file.head(6).startswith(tuple(_OPENERS))
    return bounded(file, settings) if is_packed else file


def bounded(file: File, settings: Settings) -> File:
    """A file within limits on what is read, decompressed if it is packed."""
    return replace(file, opener=lambda: cast(IO[bytes], Bounded(file, settings)))
