"""The tar archive of a bundle: regular files below one folder, without owner or time.

Names are sorted, so equal content gives equal bytes.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from headrace.errors import IntegrityError, UsageError
from headrace.state.disk import disk_errors

MOST_FILES = 10_000


def write_archive(
    stream: BinaryIO | io.RawIOBase, folder: str, files: Mapping[str, Path]
) -> None:
    """Write files below one folder.

    Args:
        stream: for the archive.
        folder: in it.
        files: where each is, by name.

    Raises:
        UsageError: a file or its name is too long for the format.
    """
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for name, file in sorted(files.items()):
            info = tarfile.TarInfo(f"{folder}/{name}")
            with file.open("rb") as of:
                info.size = file.stat().st_size
                try:
                    tar.addfile(info, of)
                except ValueError as error:
                    raise UsageError(
                        f"{info.name} cannot be in a bundle: {error}.",
                        "Choose a shorter name or a smaller model.",
                    ) from None


def files_in(folder: Path) -> dict[str, Path]:
    """All files below a folder, by their names in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path for path in files}


class Digest(io.RawIOBase):
    """The sha256 of what is written to it."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def write(self, part: Any, /) -> int:
        """Add a part."""
        self._sha.update(part)
        return len(part)

    def hex(self) -> str:
        """Of all parts."""
        return self._sha.hexdigest()


def unpack(stream: BinaryIO, folder: Path) -> None:
    """Write the files of an archive to an empty folder, without that of the archive.

    Raises:
        IntegrityError: it is no such archive, it is cut off, or a member is no regular
            file or leads outside.
        DependencyError: the disk is full.
    """
    try:
        with (
            disk_errors(str(folder)),
            tarfile.open(fileobj=stream, mode="r:") as tar,
        ):
            for count, member in enumerate(tar):
                _unpack(member, tar, folder)
                if count == MOST_FILES:
                    raise _damaged(f"it has more than {MOST_FILES:,} files")
    except tarfile.TarError as error:
        raise _damaged(str(error)) from None


def _unpack(member: tarfile.TarInfo, tar: tarfile.TarFile, folder: Path) -> None:
    top, _, name = member.name.partition("/")
    parts = PurePosixPath(name).parts
    is_inside = top and parts and ".." not in parts and "/".join(parts) == name
    is_regular = member.type == tarfile.REGTYPE and member.sparse is None
    content = tar.extractfile(member) if is_regular and is_inside else None
    if content is None:
        raise _damaged(f"{member.name!r} is no regular file below its folder")
    target = folder / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as written:
            shutil.copyfileobj(content, written)
    except (FileExistsError, NotADirectoryError):
        raise _damaged(f"{member.name!r} is there twice") from None


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(
        f"The archive is not as Headrace wrote it: {what}.",
        "Get it again from where it was made.",
    )
