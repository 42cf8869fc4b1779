"""The store: one fsspec location for snapshots, stage records and reports.

It maps keys to bytes. Every write is atomic: on a disk by a temporary file, fsync and
an atomic rename; in object storage, where an object appears whole, by writing a
folder's marker last. Responses of a remote store are not cached. Each call has a
timeout, and only `remote` retries it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import io
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from headrace.records import Record
from headrace.settings.home import make_private
from headrace.state import disk, regular, temporary
from headrace.state.remote import ask, file_system, is_local, local_path

if TYPE_CHECKING:
    import numpy.typing as npt

UPLOADS_AT_ONCE = 8
PART_BYTES = 2**23  # that one request reads of a file that is hashed
_digests: dict[tuple[Any, ...], str] = {}  # of objects, by path, ETag and time

T = TypeVar("T")
R = TypeVar("R", bound=Record)

log = logging.getLogger("headrace")


class Store:
    """Bytes by key below one URI.

    A remote store raises `UsageError` if its bucket is missing or its credentials are
    refused, and `DependencyError` if it does not answer for a minute.

    Args:
        uri: a local path or any fsspec URI.
    """

    def __init__(self, uri: str) -> None:
        self._uri = uri
        root = local_path(uri)
        self.is_local = root is not None
        if root is None:
            self.fs, root = file_system(uri)
            self.is_local = is_local(self.fs)
        self.root = root.rstrip("/")

    @functools.cached_property
    def fs(self) -> Any:
        """The fsspec file system."""
        return file_system(self._uri)[0]

    def path(self, key: str) -> str:
        """The path of a key in the file system."""
        return f"{self.root}/{key}"

    def uri(self, key: str) -> str:
        """The URI of a key, for records; a plain path if the store is local."""
        path = self.path(key)
        return path if self.is_local else self.fs.unstrip_protocol(path)

    def _make_root(self) -> None:
        with disk.nothing_in_the_way(self.root):
            make_private(Path(self.root))

    def _ask(self, key: str, call: Callable[[], T]) -> T:
        return call() if self.is_local else ask(self.uri(key), call)

    def _find(self, key: str, call: Callable[[], T]) -> T | None:
        """As `_ask`; None if there is no such key, or a file where its folder was."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            return self._ask(key, call)
        return None

    def exists(self, key: str) -> bool:
        """Whether a key exists."""
        path = self.path(key)
        facts = os.stat if self.is_local else self.fs.info
        return self._find(key, lambda: facts(path)) is not None

    def read(self, key: str) -> bytes:
        """The bytes of a key; raises FileNotFoundError if there is no such file."""
        path = self.path(key)
        if self.is_local:
            return regular.read_file(path)
        return self._ask(key, lambda: bytes(self.fs.cat_file(path)))

    def digest(self, key: str) -> str:
        """sha256 of a key, hex; the file is read in parts. Raises as `read`."""
        path = self.path(key)

        def call() -> str:
            with self.fs.open(path, "rb", cache_type="none") as file:
                facts = getattr(file, "details", {})  # known since it was opened
                etag = path, facts.get("ETag"), facts.get("LastModified")
                if (known := _digests.get(etag)) is not None:
                    return known
                digest = hashlib.sha256()
                while part := file.read(PART_BYTES):
                    digest.update(part)
                if facts.get("ETag"):
                    _digests[etag] = digest.hexdigest()
                return digest.hexdigest()

        return regular.file_digest(path) if self.is_local else self._ask(key, call)

    def find(self, key: str) -> bytes | None:
        """The bytes of a key; None if there is no such file."""
        with contextlib.suppress(FileNotFoundError):
            return self.read(key)
        return None

    def read_json(self, key: str) -> Any:
        """The JSON value of a key; None if it is absent or damaged."""
        with contextlib.suppress(ValueError, RecursionError):
            return json.loads(self.find(key) or "null")
        return None

    def read_record(self, key: str, kind: type[R]) -> R | None:
        """The record of a key; None also if it is damaged or of another form."""
        try:
            return kind.model_validate_json(self.find(key) or b"")
        except ValidationError:
            return None

    def read_arrays(self, key: str) -> list[npt.NDArray[Any]] | None:
        """The arrays of an npz file; None if it is absent or damaged."""
        import numpy as np

        if (data := self.find(key)) is None:
            return None
        try:
            with np.load(io.BytesIO(data)) as file:
                return [file[name] for name in file.files]
        except (ValueError, OSError, EOFError, TypeError, zipfile.BadZipFile):
            log.warning("%s is damaged: it is made again.", self.uri(key))
            return None

    def write(self, key: str, data: bytes) -> str:
        """Write a key atomically; returns its URI."""
        path = self.path(key)
        if not self.is_local:
            self._ask(key, lambda: self.fs.pipe_file(path, data))
            return self.uri(key)
        with disk.disk_errors(self.root):
            self._make_root()
            with (
                disk.nothing_in_the_way(path),
                disk.atomic_file(Path(path)) as temporary,
            ):
                temporary.write_bytes(data)
        return self.uri(key)

    def write_json(self, key: str, value: Any) -> str:
        """Write a JSON value atomically; returns its URI."""
        return self.write(key, json.dumps(value, indent=1, sort_keys=True).encode())

    def write_arrays(self, key: str, arrays: Sequence[npt.NDArray[Any]]) -> str:
        """Write arrays atomically as an npz file; returns its URI."""
        import numpy as np

        file = io.BytesIO()
        np.savez(file, *arrays, allow_pickle=False)
        return self.write(key, file.getvalue())

    def delete(self, key: str) -> None:
        """Delete a key, if it is there."""
        self._find(key, lambda: self.fs.rm_file(self.path(key)))

    def names(self, key: str) -> list[str]:
        """The names in a folder, sorted; empty if there is no such folder."""
        path = self.path(key)
        if self.is_local:
            return sorted(self._find(key, lambda: os.listdir(path)) or ())
        paths = self._find(key, lambda: self.fs.ls(path, detail=False, refresh=True))
        return sorted(str(path).rpartition("/")[2] for path in paths or ())

    def keys(self) -> list[str]:
        """Every key, sorted, without temporary files."""
        return [key for key, _, _ in self.sizes()]

    def sizes(self, folder: str = "") -> Iterator[tuple[str, int, float]]:
        """Every key with its bytes and the time of writing, seconds since 1970.

        Args:
            folder: whose keys are wanted; empty: those of the store.
        """
        path = self.path(folder) if folder else self.root
        entries = self._find(folder, lambda: self.fs.find(path, detail=True)) or {}
        for path, facts in sorted(entries.items()):
            key = str(path)[len(self.root) + 1 :]
            if "/." not in f"/{key}":
                written = facts.get("mtime", facts.get("LastModified", 0.0))
                if hasattr(written, "timestamp"):
                    written = written.timestamp()
                yield key, int(facts.get("size") or 0), float(written or 0.0)

    def delete_folder(self, key: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        if self.is_local and not os.path.lexists(self.path(key)):
            return  # as is usual, and needs no fsspec
        self._find(key, lambda: self.fs.rm(self.path(key), recursive=True))

    @contextlib.contextmanager
    def new_folder(self, key: str, marker: str) -> Iterator[Path]:
        """A local folder to fill; it is published as ``key`` at the end of the block.

        Args:
            key: of the folder. An existing folder with the marker is kept.
            marker: the file that exists only in a complete folder.
        """
        with self.work_folder(key.rpartition("/")[0]) as work:
            folder = work / "folder"
            folder.mkdir()
            yield folder
            self.publish(folder, key, marker)

    @contextlib.contextmanager
    def work_folder(self, key: str) -> Iterator[Path]:
        """A local folder to work in, deleted when the block ends.

        Args:
            key: of the folder below which the result will be published.
        """
        parent = Path(self.path(key)) if self.is_local else Path(tempfile.gettempdir())
        with disk.disk_errors(str(parent)):
            if self.is_local:
                self._make_root()
            with disk.nothing_in_the_way(str(parent)):
                parent.mkdir(parents=True, exist_ok=True)
            temporary.sweep(parent)
            with tempfile.TemporaryDirectory(
                prefix=temporary.work_prefix(), dir=parent, ignore_cleanup_errors=True
            ) as name:
                yield Path(name)

    def publish(self, folder: Path, key: str, marker: str) -> None:
        """Move a folder inside a work folder to ``key``.

        Args:
            folder: a local folder.
            key: of the folder. An existing folder with the marker is kept.
            marker: the file that exists only in a complete folder.
        """
        if self.is_local:
            self._rename(folder, Path(self.path(key)), marker)
        else:
            self._upload(folder, key, marker)

    def _rename(self, folder: Path, target: Path, marker: str) -> None:
        for path in [*folder.rglob("*"), folder]:
            disk.fsync_path(path)
        if target.is_dir() and not (target / marker).exists():
            target.rename(folder.with_name("damaged"))
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        disk.fsync_path(target.parent)

    def _upload(self, folder: Path, key: str, marker: str) -> None:
        if self.exists(f"{key}/{marker}"):
            return
        files = [path for path in folder.rglob("*") if path.is_file()]

        def put(path: Path, **options: str) -> None:
            name = f"{key}/{path.relative_to(folder).as_posix()}"
            target = self.path(name)
            self._ask(name, lambda: self.fs.put_file(str(path), target, **options))

        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            list(pool.map(put, (path for path in files if path != folder / marker)))
        create_only = {"mode": "create"} if self.uri(key).startswith("s3:") else {}
        with contextlib.suppress(FileExistsError):  # perhaps ours: its response lost
            put(folder / marker, **create_only)
