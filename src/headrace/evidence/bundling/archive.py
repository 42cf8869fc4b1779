"""The form of a bundle: a tar archive of regular files below one folder.

Names are sorted, and there is neither owner nor time: equal files give equal bytes.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from headrace.errors import IntegrityError, UsageError
from headrace.records import BackboneRecord, Record
from headrace.state.disk import disk_errors

MANIFEST, SIGNATURE = "manifest.json", "bundle.sig"
AGAIN = "Get it again from where it was made."
MOST_FILES = 10_000


class Manifest(Record):
    """What a bundle is, and what is in it.

    Attributes:
        backbone: the pretrained one that the model was made of, if there is one; its
            weights are in the model.
        files: sha256 by name, of all but this manifest and the signature of the whole.
    """

    format: Literal[2] = 2
    model: str
    version: int
    backbone: BackboneRecord | None = None
    files: dict[str, str]


def as_json(value: Any) -> bytes:
    """A JSON value as bytes that depend on nothing else."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def files_in(folder: Path) -> dict[str, Path]:
    """All files below a folder, sorted by their names in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return dict(sorted(named.items()))


def write_archive(stream: Any, top: str, folder: Path) -> None:
    """Write the files of a folder below one folder of an archive.

    Args:
        stream: anything with a method ``write`` of bytes.
        top: the folder in the archive.
        folder: with the files.

    Raises:
        UsageError: a file or its name is too long for the format.
    """
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for name, file in files_in(folder).items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = file.stat().st_size
            try:
                with file.open("rb") as content:
                    tar.addfile(info, content)
            except ValueError as error:
                raise UsageError(
                    f"{info.name} cannot be in a bundle: {error}.",
                    "Choose a shorter name or a smaller model.",
                ) from None


def unpack(archive: Path, folder: Path) -> Path:
    """Write the files of an archive to an empty folder; they need no more room than it.

    Returns:
        the folder in it that has them all.

    Raises:
        IntegrityError: it is no such archive, it is cut off, or a member is no regular
            file or leads outside.
        DependencyError: the disk is full.
    """
    try:
        with disk_errors(str(folder)), tarfile.open(archive, "r:") as tar:
            for count, member in enumerate(tar):
                if count == MOST_FILES:
                    raise _damaged(f"it has more than {MOST_FILES:,} files")
                _unpack(member, tar, folder)
    except (tarfile.TarError, NotADirectoryError, FileExistsError) as error:
        raise _damaged(str(error)) from None
    tops = list(folder.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise _damaged("its files are not below one folder")
    return tops[0]


def _unpack(member: tarfile.TarInfo, tar: tarfile.TarFile, folder: Path) -> None:
    path = PurePosixPath(member.name)
    is_regular = member.type == tarfile.REGTYPE and member.sparse is None
    content = tar.extractfile(member) if is_regular else None
    if content is None or path.is_absolute() or ".." in path.parts:
        raise _damaged(f"{member.name!r} is no regular file below its folder")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(f"The archive is not as Headrace wrote it: {what}.", AGAIN)
