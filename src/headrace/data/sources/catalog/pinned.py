"""A file that is known by its digest: found on disk, or downloaded, and checked.

Knows files, not which of them belong together.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from headrace.data.sources.catalog import upstream
from headrace.data.sources.places.downloads import DownloadError, fetch
from headrace.data.sources.places.files import File, check_limits, local_file
from headrace.errors import NotFoundError, SourceError

if TYPE_CHECKING:
    from headrace.settings import Settings


class Pin(BaseModel):
    """What a file must be, and where it comes from.

    Attributes:
        sha256: of the file; of its `contents` where there are some.
        url: leads to the file, or to a zip that holds it.
        member: of that zip: the file.
        contents: makes the file a zip of what matches, such as ``recordings/*.wav``.
            At the URL they lie in a zip too, below whatever folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(gt=0, description="bytes; where there are contents, about")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    url: str = ""
    member: str = ""
    contents: str = ""


def find_copies(names: Collection[str], settings: Settings) -> list[Path]:
    """Files of given names at any depth of ``HEADRACE_DATA``, the nearest first.

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
    wanted = set(names)
    found, seen = [], 0
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".")]
        seen += len(files)
        check_limits(f"HEADRACE_DATA={root}", seen, 0, settings)
        found += [Path(folder, name) for name in wanted.intersection(files)]
    found = [path for path in found if path.is_file()]
    return sorted(found, key=lambda path: (len(path.parts), str(path)))


def right_copy(
    paths: Iterable[Path],
    pin: Pin,
    limit_bytes: int,
    settings: Settings,
    wrong: list[str],
) -> File | None:
    """The first of some files that is the one that is pinned, held in memory.

    Args:
        paths: of the right name.
        pin: what it must be.
        limit_bytes: what is larger is not read.
        settings: their limits are kept.
        wrong: is told of each that is another file, and how that was seen.
    """
    for path in paths:
        size = path.stat().st_size
        if size > limit_bytes:
            wrong.append(f"{path} has {size:,} bytes, over {limit_bytes:,}")
        elif size != pin.size and not pin.contents:
            wrong.append(f"{path} has {size:,} bytes, not {pin.size:,}")
        else:
            data = local_file(path, str(path), size).read()
            difference = _difference(data, pin, settings)
            if not difference:
                return upstream.in_memory(str(path), data)
            wrong.append(f"{path} {difference}")
    return None


def download(pin: Pin, limit_bytes: int, name: str, settings: Settings) -> bytes:
    """The file that is pinned, from where it comes.

    Args:
        pin: what it must be; it has a URL.
        limit_bytes: of what comes.
        name: of what is fetched, for the log.
        settings: their limits are kept.

    Raises:
        DownloadError: it does not come, or is another file.
    """
    data = fetch(pin.url, limit_bytes, name)
    if pin.contents or pin.member:
        data = _out_of_zip(data, pin, settings)
    difference = _difference(data, pin, settings)
    if difference:
        raise DownloadError(f"what came {difference}")
    return data


def _out_of_zip(data: bytes, pin: Pin, settings: Settings) -> bytes:
    archive = upstream.in_memory("what came", data)
    pattern = pin.contents or pin.member
    try:
        with contextlib.ExitStack() as files:
            found = upstream.zip_contents(archive, pattern, settings, files)
            return upstream.packed(found) if pin.contents else found[pattern].read()
    except SourceError as error:
        raise DownloadError(error.message.rstrip(".")) from None


def _difference(data: bytes, pin: Pin, settings: Settings) -> str:
    """How a file differs from the one that is pinned; empty where it does not."""
    if not pin.contents:
        what, found = "sha256", hashlib.sha256(data).hexdigest()
    else:
        what = f"a sha256 of its {pin.contents}"
        try:
            with contextlib.ExitStack() as files:
                archive = upstream.in_memory("it", data)
                members = upstream.zip_contents(archive, pin.contents, settings, files)
                found = upstream.contents_digest(members)
        except SourceError as error:
            return f"cannot be used: {error.message.rstrip('.')}"
    return "" if found == pin.sha256 else f"has {what}: {found}, not {pin.sha256}"
