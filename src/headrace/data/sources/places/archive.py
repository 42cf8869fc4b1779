"""Zip and tar archives as trees of files, and packed files, read in place.

Nothing is unpacked to disk. Members must be regular files with plain names: an archive
with a link, a device, an encrypted or a repeated member is refused.
"""

from __future__ import annotations

import bz2
import contextlib
import functools
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from _compression import DecompressReader
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import IO, Any, cast

from headrace.data.sources.places.files import (
    File,
    check_limits,
    translate_errors,
)
from headrace.data.sources.places.trees import (
    FileTree,
    FolderFiles,
    is_junk,
    relative_name,
)
from headrace.errors import LimitError, SourceError
from headrace.settings import Settings

_SLACK = 2**20
_ENCRYPTED = 0x1
_UTF8 = 0x800
_TAR_BLOCK = 512
_READ_AT_ONCE = 2**20
_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}


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


def is_zip(head: bytes) -> bool:
    """Whether a file's first bytes are those of a zip archive."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def is_tar(file: File) -> bool:
    """Whether the first bytes of a file, decompressed, are those of a tar archive."""
    return unpacked_head(file)[257:262] == b"ustar"


def zip_tree(file: File, settings: Settings, files: contextlib.ExitStack) -> FileTree:
    """The members of a zip archive.

    Args:
        files: keeps the archive open while its members are needed.

    Raises:
        SourceError: the archive is damaged, hostile or over the limits.
    """
    where = file.where
    stream = files.enter_context(file.open())
    try:
        archive = files.enter_context(zipfile.ZipFile(stream))
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise SourceError(
            f"{where} begins as a zip archive, but its directory at the end of its "
            f"{file.size:,} bytes is missing or damaged: {error}.",
            "It was probably cut short: download or make it again.",
        ) from None
    # is_dir() of Python 3.11 fails without a name.
    if not all(info.filename for info in archive.infolist()):
        raise SourceError(
            f"{where} holds a member without a name.", "Make the archive again."
        )
    members = [info for info in archive.infolist() if not info.is_dir()]
    total = sum(info.file_size for info in members)
    check_limits(where, len(members), total, settings)
    tree = _members(where, archive.open, "file_size")
    for info in members:
        name = _zip_name(info, where)
        _check_zip_member(info, f"{where}: {name}")
        _add(tree, name, info, where)
    return FileTree(where, tree)


def _zip_name(info: zipfile.ZipInfo, where: str) -> str:
    name = info.orig_filename
    if not info.flag_bits & _UTF8 and not name.isascii():
        # Some systems write UTF-8 without the flag; zipfile then decodes cp437.
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            raise SourceError(
                f"{where} holds {name!r}: a name that is not UTF-8.",
                "Make the archive again with UTF-8 names.",
            ) from None
    return relative_name(name, where)


def _check_zip_member(info: zipfile.ZipInfo, where: str) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    problem = ""
    if info.create_system == 3 and kind not in (0, stat.S_IFREG):
        problem = "a symbolic link" if kind == stat.S_IFLNK else "a special file"
        action = "Archive regular files only."
    elif info.flag_bits & _ENCRYPTED:
        problem, action = "encrypted", "Make the archive again without a password."
    elif info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # With other methods, zipfile does not limit the unpacked size.
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        problem = f"packed by {method}; in a zip archive, only deflate is read"
        action = "Make the archive again as zip -r does, or as a tar."
    if problem:
        raise SourceError(f"{where} is {problem}.", action)


def _members(where: str, open_member: Callable[[Any], Any], size: str) -> FolderFiles:
    """The members of an archive; ``size`` is the attribute with a member's size."""
    return FolderFiles(
        lambda name, info: File(
            f"{where}: {name}",
            getattr(info, size),
            functools.partial(open_member, info),
            name,
        )
    )


def _add(
    tree: FolderFiles, name: str, info: zipfile.ZipInfo | tarfile.TarInfo, where: str
) -> None:
    """Add a member, if it is no by-product of a system."""
    if name in tree:
        raise SourceError(
            f"{where} holds {name!r} more than once.",
            "Make the archive again with each file once.",
        )
    if not is_junk(name):
        tree.facts[name] = info


def tar_tree(file: File, settings: Settings, files: contextlib.ExitStack) -> FileTree:
    """The members of a tar archive, plain or compressed by gzip, bzip2 or xz.

    Args:
        files: keeps the archive open while its members are needed.

    Raises:
        SourceError: the archive is damaged, hostile or over the limits.
    """
    where = file.where
    stream = files.enter_context(bounded(file, settings).open())
    total = 0
    with translate_errors(where):
        archive = files.enter_context(
            tarfile.open(fileobj=stream, mode="r:", errorlevel=1)
        )
        tree = _members(where, archive.extractfile, "size")
        for members, info in enumerate(archive, 1):
            name = relative_name(info.name, where)
            if info.isdir():
                continue
            _check_tar_member(info, f"{where}: {name}")
            total += info.size
            check_limits(where, members, total, settings)
            _add(tree, name, info, where)
        _check_tar_end(archive, stream, where)
    return FileTree(where, tree)


def _check_tar_member(info: tarfile.TarInfo, where: str) -> None:
    if info.issparse() or not info.isreg():
        what = "a symbolic link" if info.issym() else "a hard link"
        if not (info.issym() or info.islnk()):
            what = f"a special file (type {info.type!r})"
        raise SourceError(f"{where} is {what}.", "Archive regular files only.")


def _check_tar_end(archive: tarfile.TarFile, stream: IO[bytes], where: str) -> None:
    # tarfile ends silently at a damaged header.
    stream.seek(archive.offset)
    block = stream.read(_TAR_BLOCK)
    if block.strip(b"\0") or len(block) < _TAR_BLOCK:
        what = "cut short" if len(block) < _TAR_BLOCK else "damaged"
        raise SourceError(
            f"{where} is {what} at byte {archive.offset:,}, after "
            f"{len(archive.getmembers()):,} members.",
            "Download or make it again.",
        )
    while stream.read(_READ_AT_ONCE):  # up to the checksum at its end
        pass
