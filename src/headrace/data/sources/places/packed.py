"""Files that gzip, bzip2 or xz packed, unpacked within limits."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from dataclasses import replace
from typing import IO, Any, cast

from headrace.data.sources.places.files import (
    FREE_BYTES,
    XZ_BYTES,
    File,
    check_limits,
    check_ratio,
)
from headrace.errors import LimitError
from headrace.settings import Settings

_SLACK = 2**20
_READ_AT_ONCE = 2**16
_GZIP, _BZIP2, _XZ = _PACKED = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"


class _Xz(io.RawIOBase):
    """An xz file, unpacked with a limit on memory, which `lzma.LZMAFile` has not."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._place = 0
        self._begin(b"")

    def _begin(self, packed: bytes) -> None:
        self._packed = packed
        self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_BYTES)

    def readinto(self, buffer: Any) -> int:
        """Unpack bytes; raises EOFError for a file that was cut short."""
        data = b""
        while not data and not self._is_at_end():
            if self._unpacker.needs_input and not self._packed:
                self._packed = self._stream.read(_READ_AT_ONCE)
                if not self._packed:
                    raise EOFError("the end of its stream is missing")
            data = self._unpacker.decompress(self._packed, len(buffer))
            self._packed = b""
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def _is_at_end(self) -> bool:
        """Whether all is unpacked; another stream, which may follow, is begun."""
        if not self._unpacker.eof:
            return False
        after = self._unpacker.unused_data.lstrip(b"\0")
        while not after and (block := self._stream.read(_READ_AT_ONCE)):
            after = block.lstrip(b"\0")
        if after:
            self._begin(after)
        return not after

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, from the beginning or from where it is."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("where an xz file ends is not known")
        place = offset + (self._place if whence == io.SEEK_CUR else 0)
        if place < self._place:
            self._stream.seek(0)
            self._place = 0
            self._begin(b"")
        while self._place < place:
            if not self.read(min(_READ_AT_ONCE, place - self._place)):
                break
        return self._place

    def seekable(self) -> bool:
        """Always: it begins again."""
        return True

    def readable(self) -> bool:
        """Always."""
        return True


def _decompressed(stream: IO[bytes], magic: bytes) -> IO[bytes]:
    """A stream, decompressed if it begins as gzip, bzip2 or xz."""
    if magic.startswith(_GZIP):
        return cast(IO[bytes], gzip.GzipFile(fileobj=stream))
    if magic.startswith(_BZIP2):
        return bz2.BZ2File(stream)
    if magic.startswith(_XZ):
        return io.BufferedReader(_Xz(stream))
    return stream


def unpacked_head(file: File) -> bytes:
    """The first 512 bytes of a file, decompressed if it is gzip, bzip2 or xz."""
    with file.open() as raw, _decompressed(raw, file.head(6)) as stream:
        return stream.read(512)


class Bounded(io.RawIOBase):
    """A stream that refuses to read more than its file may unpack to.

    Args:
        stream: the unpacked bytes.
        raw: the packed bytes, which are closed with this stream.
        file: the packed file.
        settings: with the limits.
    """

    def __init__(
        self, stream: IO[bytes], raw: IO[bytes], file: File, settings: Settings
    ) -> None:
        self._stream = stream
        self._raw = raw
        self._file = file
        self._settings = settings
        allowed = max(FREE_BYTES, settings.max_ratio * file.size)
        self._limit = min(allowed, settings.max_bytes)

    def _check(self, position: int) -> None:
        check_limits(self._file.where, 0, position, self._settings)
        check_ratio(self._file.where, position, self._file.size, self._settings)

    def read(self, size: int = -1) -> bytes:
        """Read bytes within the limit."""
        left = self._limit + 1 - self._stream.tell()
        count = left if size < 0 else min(size, left)
        if count > self._settings.max_file_bytes + _SLACK:
            raise LimitError(
                f"{self._file.where} asks for {count:,} bytes in one piece, such as a "
                f"name; the limit is {self._settings.max_file_bytes:,}.",
                "Make the archive again, or raise HEADRACE_MAX_FILE_BYTES.",
            )
        data = self._stream.read(count)
        self._check(self._stream.tell())
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place within the limit."""
        if whence == io.SEEK_SET:
            self._check(offset)
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


def unpacked(file: File, settings: Settings) -> File:
    """A file, decompressed within limits if it is gzip, bzip2 or xz."""
    return bounded(file, settings) if file.head(6).startswith(_PACKED) else file


def bounded(file: File, settings: Settings) -> File:
    """A file within limits on what is read, decompressed if it is packed."""
    head = file.head(6)

    def opener() -> IO[bytes]:
        raw = file.opener()
        stream = _decompressed(raw, head)
        return cast(IO[bytes], Bounded(stream, raw, file, settings))

    return replace(file, opener=opener)
