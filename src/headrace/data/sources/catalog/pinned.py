"""Files pinned by digest: found on disk or downloaded, checked, and made tables.

The tables of all editions have the same rows, so that snapshots are equal.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import zipfile
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, Field

from headrace.data.sources.places.archive import zip_tree
from headrace.data.sources.places.downloads import DownloadError, fetch
from headrace.data.sources.places.files import File, check_limits, in_memory, local_file
from headrace.errors import NotFoundError, SourceError
from headrace.settings import Settings


class Pin(BaseModel, frozen=True, extra="forbid"):
    """The digest of a file, and where to download it.

    Attributes:
        sha256: of the file; or of its `contents`, if that is set.
        url: of the file, or of a zip that holds it.
        member: the name of the file in that zip.
        contents: a pattern such as ``recordings/*.wav``: the file is a zip of the
            members that match, in whatever folder of the zip at the URL.
    """

    size: int = Field(gt=0, description="bytes; where there are contents, about")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    url: str = ""
    member: str = ""
    contents: str = ""


def find_copies(names: Collection[str], settings: Settings) -> list[Path]:
    """Files with some names at any depth of ``HEADRACE_DATA``, the shallowest first.

    Raises:
        NotFoundError: there is no such folder.
        SourceError: it holds more files than the settings allow.
    """
    if settings.data is None:
        return []
    root = settings.data.expanduser().absolute()
    if not root.is_dir():
        raise NotFoundError(
            f"HEADRACE_DATA is {settings.data}, and there is no such folder.",
            "Set it to a folder that holds the data, or unset it.",
        )
    copies: list[Path] = []
    total = 0
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        total += len(files)
        check_limits(f"HEADRACE_DATA={root}", total, 0, settings)
        copies += [Path(folder, name) for name in set(names).intersection(files)]
    copies = list(filter(Path.is_file, copies))
    return sorted(copies, key=lambda path: (len(path.parts), str(path)))


def right_copy(
    paths: Iterable[Path],
    pin: Pin,
    limit_bytes: int,
    settings: Settings,
    rejected: list[str],
) -> File | None:
    """The first file that is the pinned one, in memory.

    Args:
        paths: files with the right name.
        pin: of the file.
        limit_bytes: larger files are not read.
        settings: with limits on zips.
        rejected: the reasons against other files are added to it.
    """
    for path in paths:
        size = path.stat().st_size
        if size > limit_bytes:
            difference = f"has {size:,} bytes, over {limit_bytes:,}"
        elif size != pin.size and not pin.contents:
            difference = f"has {size:,} bytes, not {pin.size:,}"
        else:
            data = local_file(path, str(path), size).read()
            difference = _difference(data, pin, settings)
            if not difference:
                return in_memory(str(path), data, is_pinned=True)
        rejected.append(f"{path} {difference}")
    return None


def download(pin: Pin, limit_bytes: int, name: str, settings: Settings) -> bytes:
    """Download a pinned file; ``name`` is for the log.

    Raises:
        DownloadError: the download fails, or is another file.
    """
    data = fetch(pin.url, limit_bytes, name)
    if pattern := pin.contents or pin.member:
        try:
            with contextlib.ExitStack() as files:
                archive = in_memory("what came", data)
                members = zip_contents(archive, pattern, settings, files)
                data = _packed(members) if pin.contents else members[pattern].read()
        except SourceError as error:
            raise DownloadError(error.message.rstrip(".")) from None
    if difference := _difference(data, pin, settings):
        raise DownloadError(f"what came {difference}")
    return data


def _difference(data: bytes, pin: Pin, settings: Settings) -> str:
    """How a file differs from the pinned one; empty if it does not."""
    if not pin.contents:
        what, digest = "sha256", hashlib.sha256(data).hexdigest()
    else:
        what = f"a sha256 of its {pin.contents}"
        try:
            with contextlib.ExitStack() as files:
                archive = in_memory("it", data)
                members = zip_contents(archive, pin.contents, settings, files)
                digest = _contents_digest(members)
        except SourceError as error:
            return f"cannot be used: {error.message.rstrip('.')}"
    return "" if digest == pin.sha256 else f"has {what}: {digest}, not {pin.sha256}"


def zip_contents(
    archive: File, pattern: str, settings: Settings, files: contextlib.ExitStack
) -> dict[str, File]:
    """The members of a zip that match, by name, whatever folder they lie in.

    Args:
        pattern: such as ``recordings/*.wav``.
        files: keeps the archive open.

    Raises:
        SourceError: it is no zip, damaged, hostile, or holds no such file.
    """
    depth = pattern.count("/") + 1
    members = {}
    for full, file in sorted(zip_tree(archive, settings, files).files.items()):
        name = "/".join(full.split("/")[-depth:])
        if fnmatchcase(name, pattern):
            members[name] = file
    if not members:
        raise SourceError(f"{archive.where} holds no {pattern}.", "Download it again.")
    return members


def _contents_digest(files: Mapping[str, File]) -> str:
    """The sha256 of the sorted lines ``name sha256`` of files."""
    lines = (
        f"{name} {hashlib.sha256(file.read()).hexdigest()}\n"
        for name, file in sorted(files.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _packed(files: Mapping[str, File]) -> bytes:
    """Files as a zip; equal files give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, file in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name), file.read())
    return buffer.getvalue()
