"""Tar files (POSIX ustar) of one form only: every byte follows from names and content.

Names are sorted, and there are only regular files, without owner, time or other mode.
So equal content gives equal bytes, and a reader refuses a file with any other byte: no
link, no device, no name outside, nothing compressed.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import BinaryIO

from headrace.errors import IntegrityError, UsageError

LARGEST_FILE = 8 * 2**30 - 1  # of ustar
MOST_FILES = 10_000
_BLOCK = 512
_END = bytes(2 * _BLOCK)
_PART = 2**20


class Member:
    """A file of an archive, whose content is read once.

    Attributes:
        name: below the archive's folder.
        size: bytes.
        sha256: once the content is read to its end.
    """

    def __init__(self, name: str, size: int, stream: BinaryIO) -> None:
        self.name, self.size, self.sha256 = name, size, ""
        self._stream = stream

    def read(self, limit: int) -> bytes:
        """All of the content; raises IntegrityError above a limit in bytes."""
        if self.size > limit:
            raise IntegrityError(
                f"{self.name} has {self.size:,} bytes; at most {limit:,} are read.",
                "It is not what `headrace export --evidence` writes.",
            )
        return b"".join(self.parts())

    def parts(self) -> Iterator[bytes]:
        """The content in parts; raises IntegrityError if it is cut off."""
        digest, left = hashlib.sha256(), self.size
        while left:
            part = self._stream.read(min(left, _PART))
            if not part:
                raise _damaged(f"it ends in {self.name}")
            digest.update(part)
            left -= len(part)
            yield part
        padding = self._stream.read(-self.size % _BLOCK)
        if padding != bytes(-self.size % _BLOCK):
            raise _damaged(f"the bytes after {self.name} were changed")
        self.sha256 = digest.hexdigest()


def write_archive(stream: BinaryIO, folder: str, files: Mapping[str, bytes]) -> None:
    """Write files below one folder.

    Raises:
        UsageError: a file or its name is too long for the format.
    """
    for name in sorted(files):
        data = files[name]
        stream.write(_header(f"{folder}/{name}", len(data)))
        stream.write(data)
        stream.write(bytes(-len(data) % _BLOCK))
    stream.write(_END)


def read_archive(stream: BinaryIO) -> Iterator[Member]:
    """The files of an archive in their order; what is left of each is skipped.

    Raises:
        IntegrityError: it is not one of this form, or it is cut off.
    """
    last, folder = "", ""
    for _ in range(MOST_FILES + 1):
        block = stream.read(_BLOCK)
        if block == _END[:_BLOCK] and last:
            if stream.read(_BLOCK + 1) != _END[_BLOCK:]:
                raise _damaged("the bytes after its end were changed")
            return
        path, size = _parsed(block, last)
        top, _, name = path.partition("/")
        if not name or top != (folder or top) or path <= last:
            raise _damaged(f"the name {path!r} is out of place")
        last, folder = path, top
        member = Member(name, size, stream)
        yield member
        if not member.sha256:
            for _part in member.parts():
                pass
    raise _damaged(f"it has more than {MOST_FILES:,} files")


def _header(path: str, size: int) -> bytes:
    info = tarfile.TarInfo(path)
    info.size = size
    try:
        if size > LARGEST_FILE:
            raise ValueError("more than 8 GiB")
        return info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
    except ValueError as error:
        message = f"{path} cannot be in a bundle: {error}."
        raise UsageError(message, "Choose a shorter name or a smaller model.") from None


def _parsed(block: bytes, last: str) -> tuple[str, int]:
    """The path and size in a header that has no other content."""
    after = f"after {last}" if last else "at its beginning"
    try:
        info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        if block != _header(info.name, info.size):
            raise ValueError
    except (tarfile.HeaderError, ValueError, UsageError):
        what = f"the header {after} was changed, or is of another kind"
        raise _damaged(what) from None
    parts = PurePosixPath(info.name).parts
    if info.name.startswith("/") or ".." in parts or "/".join(parts) != info.name:
        raise _damaged(f"the name {info.name!r} leads outside")
    return info.name, info.size


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(
        f"The archive is not as Headrace wrote it: {what}.",
        "Get it again from where it was made.",
    )
