"""Data by name, pinned by digest: ``catalog:NAME`` of ``catalog.toml``.

A file is looked for in the folder ``HEADRACE_DATA``, among the downloads in the home,
and in the installed packages; else pooch downloads it. Its digest must be the pinned
one, so the data is the same wherever it comes from.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import importlib.util
import logging
import os
import tomllib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from headrace.data.sources.catalog import tables
from headrace.data.sources.places.files import File, local_file
from headrace.data.sources.places.trees import FileTree
from headrace.display.progress import Progress
from headrace.errors import DependencyError, NotFoundError, SourceError
from headrace.settings import Settings
from headrace.state.disk import disk_errors, nothing_in_the_way
from headrace.state.regular import file_digest

if TYPE_CHECKING:
    from headrace.media.chunks import Source

PREFIX = "catalog:"
SILENCE_SECONDS = 30.0
LIMIT_BYTES = 64 * 2**20  # of a download
BLOCK_BYTES = 2**16
_PACKED = Path(__file__).with_name("packed")
log = logging.getLogger("headrace")


class Pin(BaseModel, frozen=True, extra="forbid"):
    """The digest of a file, and where to download it.

    Attributes:
        sha256: of the file; or of its `contents`, if that is set.
        contents: a pattern such as ``recordings/*.wav``: the file is a zip, and what
            counts are its members that match, in whatever folder of it.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    url: str = ""
    contents: str = ""


class CatalogEntry(BaseModel, frozen=True, extra="forbid"):
    """A data set of the catalog.

    Attributes:
        files: by name.
        table: the function in `catalog.tables` that makes one source of its files; ""
            for one file that is read as it is.
        alias: another URI for it.
        package: the folder of an installed package that has its files.
    """

    name: str
    title: str
    medium: str
    licence: str
    attribution: str
    homepage: str
    files: dict[str, Pin] = Field(min_length=1)
    table: str = ""
    alias: str = ""
    package: str = ""

    @property
    def uri(self) -> str:
        """Its URI in pipelines."""
        return f"{PREFIX}{self.name}"


@functools.cache
def entries() -> dict[str, CatalogEntry]:
    """All entries, by name without ``catalog:``."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    found = tomllib.loads(text)
    return {name: CatalogEntry(name=name, **fields) for name, fields in found.items()}


def find_entry(uri: str) -> CatalogEntry:
    """The entry that a URI names.

    Raises:
        NotFoundError: there is none; the nearest name is suggested.
    """
    name, every = uri.removeprefix(PREFIX), entries()
    for entry in every.values():
        if uri in (entry.uri, entry.alias):
            return entry
    near = difflib.get_close_matches(name.lower(), every, n=1, cutoff=0.5)
    known = ", ".join(entry.alias or entry.uri for entry in every.values())
    raise NotFoundError(
        f"There is no data named {uri}.",
        f"Did you mean {PREFIX}{near[0]}?" if near else f"Known are {known}.",
    )


def open_entry(source: Source, settings: Settings) -> File | FileTree:
    """The data of an entry.

    Args:
        source: its URI names the entry; its attribution and notes are set.
        settings: where copies may be.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
        DependencyError: there is no copy, and the download failed.
    """
    entry = find_entry(source.uri)
    source.attribution = entry.attribution
    files = {name: _find(entry, name, settings) for name in entry.files}
    first, *others = files.values()
    more = f" and {len(others)} more" if others else ""
    source.notes.append(f"{entry.uri}: {first.where}{more}")
    if not entry.table:
        return first
    make = getattr(tables, entry.table)
    made: File | FileTree = make(files, entry.uri, settings, source.files)
    return made


def identity(uri: str) -> str:
    """A digest that changes when the data may have changed: that of its pins.

    Raises:
        NotFoundError: there is no such entry.
    """
    return sha256(find_entry(uri).model_dump_json().encode()).hexdigest()


def _find(entry: CatalogEntry, name: str, settings: Settings) -> File:
    """A copy of a file, or its download; other files of its name are told."""
    for path in _copies(entry, name, settings):
        if not (difference := _difference(path, entry.files[name], settings)):
            break
        log.warning("%s %s: it is not used.", path, difference)
    else:
        try:
            path = _downloaded(entry, name, settings)
        except (OSError, ValueError, ImportError) as error:
            place = f"in HEADRACE_DATA={settings.data}" if settings.data else "at hand"
            url = entry.files[name].url or "it"
            raise DependencyError(
                f"{entry.uri}: no copy of {name} is {place}, and downloading {url} "
                f"failed: {error}.",
                "Try again with a connection, or set HEADRACE_DATA=FOLDER to a folder "
                f"that holds {', '.join(entry.files)}, or give a file with --data "
                "PATH.",
            ) from None
    return local_file(path, str(path), path.stat().st_size)


def _copies(entry: CatalogEntry, name: str, settings: Settings) -> Iterator[Path]:
    """Files of a name: those of ``HEADRACE_DATA``, the shallowest first, and others."""
    if settings.data:
        root = settings.data.expanduser().absolute()
        if not root.is_dir():
            raise NotFoundError(
                f"HEADRACE_DATA is {settings.data}, and there is no such folder.",
                "Set it to a folder that holds the data, or unset it.",
            )
        found = (
            Path(folder, name) for folder, _, names in os.walk(root) if name in names
        )
        yield from sorted(found, key=lambda path: (len(path.parts), path))
    package, _, below = entry.package.partition("/")
    spec = importlib.util.find_spec(package) if package else None
    places = (spec and spec.submodule_search_locations) or []
    usual = [settings.home / "data" / entry.name, _PACKED]
    for folder in [*usual, *(Path(place, below) for place in places)]:
        if (folder / name).is_file():
            yield folder / name


def _difference(path: Path, pin: Pin, settings: Settings) -> str:
    """How a file differs from the pinned one; empty if it does not."""
    what, digest = "sha256", ""
    if not pin.contents:
        digest = file_digest(path)
    else:
        what = f"a sha256 of its {pin.contents}"
        file = local_file(path, str(path), path.stat().st_size)
        try:
            with contextlib.ExitStack() as files:
                found = tables.members_of(file, pin.contents, settings, files)
                lines = (
                    f"{n} {sha256(one.read()).hexdigest()}\n"
                    for n, one in found.items()
                )
                digest = sha256("".join(lines).encode()).hexdigest()
        except SourceError as error:
            return f"cannot be used: {error.message.rstrip('.')}"
    return "" if digest == pin.sha256 else f"has {what}: {digest}, not {pin.sha256}"


class _Meter(Progress):
    """What pooch tells of a download: shown, and its end if that is too large."""

    total = 0  # bytes, as the server says; pooch sets it
    _done = 0

    def update(self, done: int, detail: str = "") -> None:
        """Some more bytes."""
        self._done += done
        if max(self._done - BLOCK_BYTES, self.total) > LIMIT_BYTES:
            raise ValueError(f"it has over {LIMIT_BYTES:,} bytes")
        super().update(self._done, detail)

    def reset(self) -> None:
        """Pooch sets it to its end."""
        self._done = 0

    def close(self) -> None:
        """Nothing: it is closed with its block."""


def _downloaded(entry: CatalogEntry, name: str, settings: Settings) -> Path:
    """Download a file into the home; raises what pooch does, or ValueError."""
    pin, folder = entry.files[name], settings.home.absolute() / "data" / entry.name
    if not pin.url:
        raise ValueError("nobody publishes it as one file")
    # Imported by name: downloads are checked, so no stage depends on its version.
    pooch = importlib.import_module("pooch")
    pooch.get_logger().setLevel(logging.WARNING)
    log.info("%s: downloading %s", entry.uri, pin.url)
    disk = disk_errors(str(folder)), nothing_in_the_way(folder)
    with _Meter(entry.uri, None, "bytes") as meter, disk[0], disk[1]:
        downloader = pooch.HTTPDownloader(
            meter, chunk_size=BLOCK_BYTES, timeout=SILENCE_SECONDS
        )
        known = None if pin.contents else f"sha256:{pin.sha256}"
        (folder / name).unlink(missing_ok=True)  # it is another file
        path = Path(pooch.retrieve(pin.url, known, name, folder, None, downloader))
        if difference := _difference(path, pin, settings):
            path.unlink()
            raise ValueError(f"what came {difference}")
    return path
