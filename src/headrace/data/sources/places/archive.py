"""Zip and tar archives as trees of files, which are read in place.

Nothing is unpacked to disk. Members must be regular files with plain names: an archive
with a link, a device, an encrypted or a repeated member is refused.
"""

from __future__ import annotations

import contextlib
import functools
import stat
import tarfile
import zipfile
from collections.abc import Callable
from typing import IO, Any

from headrace.data.sources.places.files import (
    File,
    check_limits,
    translate_errors,
)
from headrace.data.sources.places.packed import bounded, unpacked_head
from headrace.data.sources.places.trees import (
    FileTree,
    FolderFiles,
    is_junk,
    relative_name,
)
from headrace.errors import SourceError
from headrace.settings import Settings

_ENCRYPTED = 0x1
_UTF8 = 0x800
_TAR_BLOCK = 512
_READ_AT_ONCE = 2**20
_METHODS = {zipfile.ZIP_BZIP2: "bzip2", zipfile.ZIP_LZMA: "LZMA", 93: "Zstandard"}


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
