"""``catalog:NAME``: data by name, pinned by digest; ``catalog.toml`` lists it.

A file is looked for in the folder ``HEADRACE_DATA``, among the downloads in the home,
and in this package; else it is downloaded. Its digest must be the pinned one, so the
data is the same wherever it comes from.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from headrace.data.sources.catalog import sample, upstream
from headrace.data.sources.catalog.pinned import Pin, download, find_copies, right_copy
from headrace.data.sources.places import uris as places
from headrace.data.sources.places.downloads import DownloadError
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree
from headrace.errors import DependencyError, NotFoundError, SourceError, UsageError
from headrace.media.chunks import Source
from headrace.records import Finding
from headrace.state.store import Store

if TYPE_CHECKING:
    from headrace.settings import Settings

PREFIX = "catalog:"
_PACKED = Path(__file__).with_name("packed")


class Edition(BaseModel):
    """One of the forms of an entry's data.

    Attributes:
        table: a function in `upstream` that makes it the table of the first edition.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, Pin] = Field(min_length=1)
    table: str = ""


class Entry(BaseModel):
    """A data set of the catalog.

    Attributes:
        editions: in order of preference; the last one is upstream's.
        alias: another URI for it.
        cache: the path, in the user's home folder, where another library keeps its one
            file. Another file there is an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    medium: str
    licence: str
    attribution: str
    homepage: str
    editions: tuple[Edition, ...] = Field(min_length=1)
    limit_bytes: int = Field(default=64 * 2**20, description="of one file")
    alias: str = ""
    cache: str = ""

    @property
    def uri(self) -> str:
        """Its URI in pipelines."""
        return f"{PREFIX}{self.name}"

    @property
    def names(self) -> list[str]:
        """The names of the files of all editions."""
        return [name for edition in self.editions for name in edition.files]

    @property
    def url(self) -> str:
        """The URL of its first download."""
        return next(iter(self.editions[-1].files.values())).url

    @property
    def bytes(self) -> int:
        """The size of upstream's edition."""
        return sum(pin.size for pin in self.editions[-1].files.values())


@functools.cache
def entries() -> dict[str, Entry]:
    """All entries, by name without ``catalog:``."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    return {
        name: Entry(name=name, **fields) for name, fields in tomllib.loads(text).items()
    }


def find_entry(uri: str) -> Entry:
    """The entry that a URI names.

    Raises:
        NotFoundError: there is none; the nearest name is suggested.
    """
    name, by_name = uri.removeprefix(PREFIX), entries()
    for entry in by_name.values():
        if uri in (entry.uri, entry.alias):
            return entry
    near = difflib.get_close_matches(name.lower(), by_name, n=1, cutoff=0.5)
    if uri.startswith(PREFIX):
        listed = ", ".join(entry.uri for entry in by_name.values())
    else:
        aliases = [entry.alias for entry in by_name.values() if entry.alias]
        listed = " and ".join([sample.URI, *aliases])
    raise NotFoundError(
        f"There is no data named {uri}.",
        f"Did you mean {PREFIX}{near[0]}?" if near else f"Known are {listed}.",
    )


def open_entry(
    source: Source, settings: Settings, entry: Entry | None = None
) -> File | FileTree:
    """The data of an entry, in memory.

    Args:
        source: its URI names the entry; its attribution, notes and findings are set.
        settings: where copies may be.
        entry: in place of the one that the URI names.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
        SourceError: the cache of another library holds another file of this name.
        DependencyError: there is no copy, and the download failed.
    """
    entry = entry or find_entry(source.uri)
    source.attribution = entry.attribution
    rejected: list[str] = []
    edition = entry.editions[-1]
    files = _cached(entry, edition, settings)
    if not files:
        edition, files = _local(entry, settings, rejected)
    missing = [name for name in edition.files if name not in files]
    files |= {name: _downloaded(entry, name, settings, rejected) for name in missing}
    source.findings += [
        Finding(check="copy_not_used", count=1, message=f"{text}: it is not used.")
        for text in rejected
    ]
    files = {name: files[name] for name in edition.files}
    first, *others = (file.where for file in files.values())
    more = f" and {len(others)} more" if others else ""
    source.notes.append(f"{entry.uri}: {first}{more}")
    return _opened(entry, edition, files, source, settings)


def identity(uri: str, settings: Settings, entry: Entry | None = None) -> str:
    """A digest that changes when the data may have changed; content is not read.

    Downloads do not change it, since they are the pinned files.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
    """
    entry = entry or find_entry(uri)
    sha = hashlib.sha256(entry.model_dump_json().encode())
    for path in find_copies(entry.names, settings):
        sha.update(f"\n{places.identity(str(path), settings)}".encode())
    return sha.hexdigest()


def _download_folder(entry: Entry, settings: Settings) -> Path:
    return settings.home.absolute() / "data" / entry.name


def _local_paths(entry: Entry, settings: Settings) -> dict[str, list[Path]]:
    """Files that may be those of an entry, by name, in order of preference."""
    paths: dict[str, list[Path]] = {name: [] for name in entry.names}
    folders = (_download_folder(entry, settings), _PACKED)
    files = [folder / name for folder in folders for name in paths]
    for path in [*find_copies(entry.names, settings), *filter(Path.is_file, files)]:
        paths[path.name].append(path)
    return paths


def _cached(entry: Entry, edition: Edition, settings: Settings) -> dict[str, File]:
    """The file in the cache of another library, if there is one.

    Raises:
        SourceError: it is another file.
    """
    path = Path.home() / entry.cache
    if not entry.cache or not path.is_file():
        return {}
    rejected: list[str] = []
    pin = edition.files[path.name]
    file = right_copy([path], pin, entry.limit_bytes, settings, rejected)
    if file is None:
        raise SourceError(
            f"{rejected[0]}; the file that {entry.homepage} publishes has sha256 "
            f"{pin.sha256}.",
            f"Delete it, and `{entry.alias}` is downloaded; or name your own file with "
            f"--data {path}.",
        )
    return {path.name: file}


def _local(
    entry: Entry, settings: Settings, rejected: list[str]
) -> tuple[Edition, dict[str, File]]:
    """The first edition with all files, else the files there are of upstream's."""
    paths = _local_paths(entry, settings)
    for edition in entry.editions:
        files: dict[str, File] = {}
        for name, pin in edition.files.items():
            file = right_copy(paths[name], pin, entry.limit_bytes, settings, rejected)
            if file is not None:
                files[name] = file
        if len(files) == len(edition.files):
            break
    return edition, files


def _downloaded(
    entry: Entry, name: str, settings: Settings, rejected: list[str]
) -> File:
    """Download a file of upstream's edition into the home."""
    pin = entry.editions[-1].files[name]
    try:
        data = download(pin, entry.limit_bytes, entry.uri, settings)
    except DownloadError as error:
        raise _unavailable(entry, pin.url, error, settings, rejected) from None
    folder = _download_folder(entry, settings)
    try:
        path = Store(str(folder)).write(name, data)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written: {error.strerror}.",
            "Allow that, or set HEADRACE_HOME to a folder that can be written.",
        ) from None
    return upstream.in_memory(path, data)


def _unavailable(
    entry: Entry, url: str, error: Exception, settings: Settings, rejected: list[str]
) -> DependencyError:
    place = f"in HEADRACE_DATA={settings.data}" if settings.data else "at hand"
    reasons = f" ({'; '.join(rejected)})" if rejected else ""
    names = ", or ".join(", ".join(edition.files) for edition in entry.editions)
    return DependencyError(
        f"{entry.uri}: no copy is {place}{reasons}, and downloading {url} failed: "
        f"{error}.",
        "Try again with a connection, or set HEADRACE_DATA=FOLDER to a folder that "
        f"holds {names}, or give a file with --data PATH.",
    )


def _opened(
    entry: Entry,
    edition: Edition,
    files: dict[str, File],
    source: Source,
    settings: Settings,
) -> File | FileTree:
    members: dict[str, File] = {}
    for name, pin in edition.files.items():
        if pin.contents:
            members |= upstream.zip_contents(
                files[name], pin.contents, settings, source.files
            )
    if edition.table:
        make: Callable[[dict[str, File]], pa.Table] = getattr(upstream, edition.table)
        table = upstream.as_parquet(make(members or files), entry.uri)
        if not members:
            return table
        members["metadata.parquet"] = table
    elif len(files) == 1 and not members:
        return next(iter(files.values()))
    return FileTree(entry.uri, members or files)
