"""``catalog:NAME``: data by name, pinned by digest; ``catalog.toml`` lists it.

A local copy (in the folder that ``HEADRACE_DATA`` names) comes first, then what was
downloaded before (in the home), then what Headrace brings along, then a download.
Nothing is used that has another digest, so it is the same data wherever it comes from.
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
    """One form in which the data of an entry is had.

    Attributes:
        table: a function in `upstream` that makes the first edition's table of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    files: dict[str, Pin] = Field(min_length=1)
    table: str = ""


class Entry(BaseModel):
    """Data that has a name.

    Attributes:
        editions: the preferred one first; the last one is upstream's.
        alias: another URI that names it.
        cache: where another library keeps its one file, from the user's folder. What
            lies there is that file, or is refused.
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
        """What a pipeline calls it."""
        return f"{PREFIX}{self.name}"

    @property
    def names(self) -> list[str]:
        """The names of all its files, in whatever edition."""
        return [name for edition in self.editions for name in edition.files]

    @property
    def url(self) -> str:
        """Where it is downloaded from: the first place, where there are several."""
        return next(iter(self.editions[-1].files.values())).url

    @property
    def bytes(self) -> int:
        """The size of upstream's edition."""
        return sum(pin.size for pin in self.editions[-1].files.values())


@functools.cache
def entries() -> dict[str, Entry]:
    """All data that has a name, by its name without ``catalog:``."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    return {
        name: Entry(name=name, **fields) for name, fields in tomllib.loads(text).items()
    }


def find_entry(uri: str) -> Entry:
    """The entry that a URI names.

    Raises:
        NotFoundError: there is none, with the nearest name.
    """
    name, known = uri.removeprefix(PREFIX), entries()
    for entry in known.values():
        if uri in (entry.uri, entry.alias):
            return entry
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
    if uri.startswith(PREFIX):
        listed = ", ".join(entry.uri for entry in known.values())
    else:
        aliases = [entry.alias for entry in known.values() if entry.alias]
        listed = " and ".join([sample.URI, *aliases])
    raise NotFoundError(
        f"There is no data named {uri}.",
        f"Did you mean {PREFIX}{near[0]}?" if near else f"Known are {listed}.",
    )


def open_entry(
    source: Source, settings: Settings, entry: Entry | None = None
) -> File | FileTree:
    """The data of an entry, held in memory, with its attribution told to the source.

    Args:
        source: its URI names the entry; it is told what is found on the way.
        settings: where copies may be, and limits that are kept.
        entry: in place of the one that is named.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
        SourceError: another library's folder holds another file of its name.
        DependencyError: there is no copy, and no right one can be downloaded.
    """
    entry = entry or find_entry(source.uri)
    source.attribution = entry.attribution
    wrong: list[str] = []
    edition = entry.editions[-1]
    held = _cached(entry, edition, settings)
    if not held:
        edition, held = _at_hand(entry, settings, wrong)
    for name in [name for name in edition.files if name not in held]:
        held[name] = _downloaded(entry, name, settings, wrong)
    source.findings += [
        Finding(check="copy_not_used", count=1, message=f"{text}: it is not used.")
        for text in wrong
    ]
    files = {name: held[name] for name in edition.files}
    first, *others = (file.where for file in files.values())
    more = f" and {len(others)} more" if others else ""
    source.notes.append(f"{entry.uri}: {first}{more}")
    return _opened(entry, edition, files, source, settings)


def identity(uri: str, settings: Settings, entry: Entry | None = None) -> str:
    """A digest that changes whenever the data may have changed; reads no content.

    What was downloaded leaves no trace in it, for it is what is pinned.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
    """
    entry = entry or find_entry(uri)
    sha = hashlib.sha256(entry.model_dump_json().encode())
    for path in find_copies(entry.names, settings):
        sha.update(f"\n{places.identity(str(path), settings)}".encode())
    return sha.hexdigest()


def _kept(entry: Entry, settings: Settings) -> Path:
    return settings.home.absolute() / "data" / entry.name


def _local_paths(entry: Entry, settings: Settings) -> dict[str, list[Path]]:
    """Files that may be those of the entry, by name, in the order of preference."""
    paths: dict[str, list[Path]] = {name: [] for name in entry.names}
    folders = (_kept(entry, settings), _PACKED)
    files = [folder / name for folder in folders for name in paths]
    for path in [*find_copies(entry.names, settings), *filter(Path.is_file, files)]:
        paths[path.name].append(path)
    return paths


def _cached(entry: Entry, edition: Edition, settings: Settings) -> dict[str, File]:
    """The file where another library keeps it, or nothing.

    Raises:
        SourceError: another file is there.
    """
    path = Path.home() / entry.cache
    if not entry.cache or not path.is_file():
        return {}
    wrong: list[str] = []
    pin = edition.files[path.name]
    file = right_copy([path], pin, entry.limit_bytes, settings, wrong)
    if file is None:
        raise SourceError(
            f"{wrong[0]}; the file that {entry.homepage} publishes has sha256 "
            f"{pin.sha256}.",
            f"Delete it, and `{entry.alias}` is downloaded; or name your own file with "
            f"--data {path}.",
        )
    return {path.name: file}


def _at_hand(
    entry: Entry, settings: Settings, wrong: list[str]
) -> tuple[Edition, dict[str, File]]:
    """The first edition that is whole, else what there is of upstream's."""
    paths = _local_paths(entry, settings)
    held: dict[str, File] = {}
    for edition in entry.editions:
        held = {}
        for name, pin in edition.files.items():
            file = right_copy(paths[name], pin, entry.limit_bytes, settings, wrong)
            if file is not None:
                held[name] = file
        if len(held) == len(edition.files):
            break
    return edition, held


def _downloaded(entry: Entry, name: str, settings: Settings, wrong: list[str]) -> File:
    """A file of upstream's edition, kept in the home."""
    pin = entry.editions[-1].files[name]
    try:
        data = download(pin, entry.limit_bytes, entry.uri, settings)
    except DownloadError as error:
        raise _not_had(entry, pin.url, error, settings, wrong) from None
    folder = _kept(entry, settings)
    try:
        path = Store(str(folder)).write(name, data)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written: {error.strerror}.",
            "Allow that, or set HEADRACE_HOME to a folder that can be written.",
        ) from None
    return upstream.in_memory(path, data)


def _not_had(
    entry: Entry, url: str, error: Exception, settings: Settings, wrong: list[str]
) -> DependencyError:
    place = f"in HEADRACE_DATA={settings.data}" if settings.data else "at hand"
    seen = f" ({'; '.join(wrong)})" if wrong else ""
    wanted = ", or ".join(", ".join(edition.files) for edition in entry.editions)
    return DependencyError(
        f"{entry.uri}: no copy is {place}{seen}, and downloading {url} failed: "
        f"{error}.",
        "Try again with a connection, or set HEADRACE_DATA=FOLDER to a folder that "
        f"holds {wanted}, or give a file with --data PATH.",
    )


def _opened(
    entry: Entry,
    edition: Edition,
    files: dict[str, File],
    source: Source,
    settings: Settings,
) -> File | FileTree:
    inside: dict[str, File] = {}
    for name, pin in edition.files.items():
        if pin.contents:
            archive = files[name]
            inside |= upstream.zip_contents(
                archive, pin.contents, settings, source.files
            )
    if edition.table:
        make: Callable[[dict[str, File]], pa.Table] = getattr(upstream, edition.table)
        table = upstream.as_parquet(make(inside or files), entry.uri)
        if not inside:
            return table
        inside["metadata.parquet"] = table
    elif len(files) == 1 and not inside:
        return next(iter(files.values()))
    return FileTree(entry.uri, inside or files)
