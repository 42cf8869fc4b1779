"""Where bytes live: one fsspec location for snapshots, stage records and reports.

Knows keys and bytes, not what they mean. Everything is written whole or not at all:
a temporary name, fsync, rename, and for a folder its marker file last.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import DependencyError

_WORK = ".new-"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE}


@contextlib.contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Turn a failing disk into a `DependencyError` that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        free = ""
        with contextlib.suppress(OSError):
            free = f" ({shutil.disk_usage(where).free // 2**20} MiB free)"
        raise DependencyError(
            f"Writing to {where} failed: {error.strerror}{free}.",
            "Make room or point HEADRACE_HOME elsewhere, and run the same command "
            "again.",
        ) from error


def fsync_path(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(parent: Path) -> None:
    """Delete work folders whose process was killed on this machine."""
    import psutil

    for path in parent.glob(f"{_WORK}*"):
        process, _, rest = path.name.removeprefix(_WORK).partition("-")
        is_ours = rest.rpartition("-")[0] == socket.gethostname()
        if is_ours and process.isdigit() and not psutil.pid_exists(int(process)):
            shutil.rmtree(path, ignore_errors=True)


class Store:
    """Bytes by key below one URI.

    Args:
        uri: a local path or any fsspec URI.
    """

    def __init__(self, uri: str) -> None:
        self.fs, root = fsspec.core.url_to_fs(uri)
        self.root = root.rstrip("/")
        self.is_local = isinstance(self.fs, LocalFileSystem)

    def path(self, key: str) -> str:
        """The file system's own path of a key."""
        return f"{self.root}/{key}"

    def uri(self, key: str) -> str:
        """A URI of a key, for records: a plain path where the store is local."""
        return (
            self.path(key)
            if self.is_local
            else self.fs.unstrip_protocol(self.path(key))
        )

    def exists(self, key: str) -> bool:
        """Whether a key was written."""
        return bool(self.fs.exists(self.path(key)))

    def read(self, key: str) -> bytes:
        """The bytes of a key; raises FileNotFoundError."""
        return bytes(self.fs.cat_file(self.path(key)))

    def read_json(self, key: str) -> Any:
        """The JSON value of a key, or None where it is absent or damaged.

        Records are re-made when they cannot be read, so damage is absence.
        """
        try:
            return json.loads(self.read(key))
        except (FileNotFoundError, ValueError):
            return None

    def write(self, key: str, data: bytes) -> str:
        """Write a key atomically; returns its URI."""
        path = self.path(key)
        if not self.is_local:
            self.fs.pipe_file(path, data)
            return self.uri(key)
        with disk_errors(self.root):
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
            try:
                with temporary.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            finally:
                temporary.unlink(missing_ok=True)
        return self.uri(key)

    def delete(self, key: str) -> None:
        """Delete a key, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm_file(self.path(key))

    def names(self, key: str) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder."""
        with contextlib.suppress(FileNotFoundError):
            paths = self.fs.ls(self.path(key), detail=False, refresh=True)
            return sorted(str(path).rpartition("/")[2] for path in paths)
        return []

    def delete_folder(self, key: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self.fs.rm(self.path(key), recursive=True)

    def write_json(self, key: str, value: Any) -> str:
        """Write a JSON value atomically; returns its URI."""
        return self.write(key, json.dumps(value, indent=1, sort_keys=True).encode())

    @contextlib.contextmanager
    def new_folder(self, key: str, marker: str) -> Iterator[Path]:
        """A local folder to fill; it becomes ``key`` when the block ends well.

        Args:
            key: of the folder. Another writer's equal folder wins silently.
            marker: the file in it whose presence says that the folder is whole.
        """
        with self.work_folder(key.rpartition("/")[0]) as work:
            folder = work / "folder"
            folder.mkdir()
            yield folder
            self.publish(folder, key, marker)

    @contextlib.contextmanager
    def work_folder(self, key: str) -> Iterator[Path]:
        """A local folder to work in, gone when the block ends.

        Args:
            key: of the folder below which the outcome will be published.
        """
        with disk_errors(self.root):
            parent = Path(self.path(key)) if self.is_local else None
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
                _sweep(parent)
            with tempfile.TemporaryDirectory(
                prefix=f"{_WORK}{os.getpid()}-{socket.gethostname()}-",
                dir=parent,
                ignore_cleanup_errors=True,
            ) as name:
                yield Path(name)

    def publish(self, folder: Path, key: str, marker: str) -> None:
        """Make a folder inside a work folder the one of ``key``.

        Args:
            folder: a local one; it is gone afterwards.
            key: of the folder. Another writer's equal folder wins silently.
            marker: the file in it whose presence says that the folder is whole.
        """
        if self.is_local:
            self._rename(folder, Path(self.path(key)), marker)
        else:
            self._upload(folder, key, marker)

    def _rename(self, folder: Path, target: Path, marker: str) -> None:
        for path in [*folder.rglob("*"), folder]:
            fsync_path(path)
        if target.is_dir() and not (target / marker).exists():
            target.rename(folder.with_name("damaged"))
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        fsync_path(target.parent)

    def _upload(self, folder: Path, key: str, marker: str) -> None:
        files = [path for path in folder.rglob("*") if path.is_file()]
        for path in sorted(files, key=lambda file: file.name == marker):
            relative = path.relative_to(folder).as_posix()
            self.fs.put_file(str(path), self.path(f"{key}/{relative}"))
