"""Local disks: atomic writes, translated errors, and temporary folders.

Temporary files hold rows, models and records. Those of a killed process are deleted by
the next one of the same user.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

from headrace.errors import DependencyError, HeadraceError, UsageError
from headrace.home import DELETE_PIPE, PRIVATE_FILE
from headrace.settings import restore_variables
from headrace.state.processes import has_ended, this_process

WORK = ".new-"
PREFIX = "headrace-"  # short, since socket paths in it are limited to 107 bytes
_OWNER_FILE = ".process"
_ORPHAN_SECONDS = 3600.0
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DISK_ERRORS = {*_FULL, errno.EROFS, errno.EIO, errno.EMFILE}
_NOT_ALLOWED = {errno.EACCES, errno.EPERM}
_MAKE_ROOM = (
    "Make room or point HEADRACE_HOME elsewhere, and run the same command again."
)
_MIN_FREE = 2**20  # bytes; a database cannot grow by less
LARGEST = 2**34  # bytes; no file of Headrace's is larger
_PART = 2**20  # bytes that are hashed at a time
READ_AT_MOST = 2**28  # bytes of a file of which no digest is known before it is read


class UnusableFileError(FileNotFoundError):
    """What is at a path is no regular file, or larger than the file that belongs there.

    Reading it could block, or never end. Where a missing file counts as absent, so does
    this one.
    """


@contextlib.contextmanager
def open_regular(path: str | Path, size: int = 0) -> Iterator[BufferedReader]:
    """A regular file that is not too large, opened for reading.

    Args:
        path: of the file.
        size: see `check_size`.

    Raises:
        FileNotFoundError: there is nothing.
        UnusableFileError: it is a pipe, a device or a folder, or larger.
    """
    try:
        mode = os.stat(path).st_mode
    except NotADirectoryError as error:  # a file is where a folder above it was
        raise FileNotFoundError(error.errno, error.strerror, str(path)) from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnusableFileError(f"{path} is a link to itself") from error
        raise
    if not stat.S_ISREG(mode):
        raise UnusableFileError(f"{path} is not a regular file")
    with open(path, "rb", opener=_open_at_once) as file:
        check_size(str(path), os.fstat(file.fileno()).st_size, size)
        try:
            yield file
            if file.read(1) and file.tell() > os.fstat(file.fileno()).st_size:
                raise UnusableFileError(f"{path} has more bytes than its size says")
        except OSError as error:
            if error.errno == errno.EIO:
                raise UnusableFileError(f"{path} cannot be read: {error}") from error
            raise


def check_size(name: str, actual: int, size: int = 0) -> None:
    """Refuse a file that is too large to be looked at.

    Args:
        name: of the file, for messages.
        actual: its bytes.
        size: the bytes that it should have; 0 if that is not known. Then it may have
            `LARGEST`, and a record, which is JSON and is parsed, `READ_AT_MOST`.

    Raises:
        UnusableFileError: it has more.
    """
    most = size or (READ_AT_MOST if name.endswith(".json") else LARGEST)
    if actual > most:
        raise UnusableFileError(
            f"{name} has {actual:,} bytes, and may have {most:,} at most"
        )


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe may have taken its place


def open_log(path: str | Path, *, is_new: bool = False) -> IO[bytes]:
    """A file to write on at its end, made unless it exists.

    Args:
        path: of the log.
        is_new: whether what it has so far goes.

    Raises:
        UsageError: a pipe, which would block, a folder or a link is in its place.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW
    flags |= os.O_TRUNC if is_new else os.O_APPEND
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE)
        if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            return os.fdopen(descriptor, "wb")
        os.close(descriptor)
    except OSError as error:
        if error.errno not in {errno.ENXIO, errno.ELOOP, errno.EISDIR}:
            raise
    raise UsageError(f"{path} is not a regular file.", DELETE_PIPE)


def read_file(path: str | Path, sha256: str = "", size: int = 0) -> bytes:
    """The bytes of a regular file; its digest is left to the caller to compare.

    Args:
        path: of the file.
        sha256: that it should have. A file of more than `READ_AT_MOST` bytes is read
            into memory only if it has it.
        size: that it should have, in bytes. A larger file is not read.

    Raises:
        FileNotFoundError: there is nothing.
        UnusableFileError: it is no regular file, or too large.
    """
    with open_regular(path, size or (0 if sha256 else READ_AT_MOST)) as file:
        length = os.fstat(file.fileno()).st_size
        if length > READ_AT_MOST:
            if digest_of(file, length) != sha256:
                raise UnusableFileError(f"{path} is not the file that was recorded")
            file.seek(0)
        return file.read(length)


def file_digest(path: str | Path, size: int = 0) -> str:
    """sha256 of a regular file, hex; it is read in parts.

    Args:
        path: of the file.
        size: that it should have, in bytes. A larger file is not read.

    Raises:
        FileNotFoundError: there is nothing.
        UnusableFileError: it is no regular file, or too large.
    """
    with open_regular(path, size) as file:
        return digest_of(file, os.fstat(file.fileno()).st_size)


def digest_of(file: IO[bytes], length: int, part_bytes: int = _PART) -> str:
    """sha256 of the first bytes of a file, in parts: of some files none is the last."""
    digest = hashlib.sha256()
    while length > 0 and (part := file.read(min(length, part_bytes))):
        digest.update(part)
        length -= len(part)
    return digest.hexdigest()


@contextlib.contextmanager
def disk_errors(where: str) -> Iterator[None]:
    """Translate a disk's errors in a block by `disk_error`."""
    try:
        yield
    except OSError as error:
        translated = disk_error(error, where)
        if translated is None:
            raise
        try:
            raise translated from error
        finally:
            del translated  # else a reference cycle keeps the traceback's files open


@contextlib.contextmanager
def nothing_in_the_way(path: str | Path) -> Iterator[None]:
    """Refuse a file where a folder has to be, or a folder where a file has to be."""
    try:
        yield
    except (IsADirectoryError, NotADirectoryError, FileExistsError) as error:
        raise UsageError(
            f"{path} cannot be written: {error.strerror} ({error.filename}).",
            "Move it away, or set HEADRACE_HOME or HEADRACE_STORE to another folder.",
        ) from error


def disk_error(error: OSError, where: str) -> HeadraceError | None:
    """The error for a failed write; None if the disk is not the cause.

    Returns:
        `DependencyError`: the disk is full or fails. `UsageError`: a file below
        ``where`` may not be written.
    """
    number, reason = error.errno, error.strerror
    if isinstance(error, shutil.Error) and os.strerror(errno.ENOSPC) in str(error):
        number, reason = errno.ENOSPC, os.strerror(errno.ENOSPC)  # of copytree
    if number in _DISK_ERRORS:
        mend, temporary = _MAKE_ROOM, shared_temporary_folder()
        if number in _FULL and _is_out(temporary) and not _is_out(where):
            where, mend = temporary, _MAKE_ROOM.replace("HEADRACE_HOME", "TMPDIR")
        full = ": the disk is full" if number in _FULL else ""
        if number == errno.ENOSPC and _has_no_inode(where):
            full = ": its file system can have no more files"
        return DependencyError(
            f"Writing to {where} failed: {reason}{_free(where)}{full}.",
            mend,
        )
    if error.errno in _NOT_ALLOWED and str(error.filename or "").startswith(where):
        return UsageError(
            f"{error.filename} cannot be written: {error.strerror}.",
            "Change its permissions, or set HEADRACE_HOME to a writable folder.",
        )
    return None


def full_disk(what: str, where: str) -> DependencyError:
    """The error for a database that cannot grow because its disk is full.

    Args:
        what: the file that could not be written.
        where: a path on its disk.
    """
    return DependencyError(
        f"The disk is full: {what} cannot be written{_free(where)}.",
        _MAKE_ROOM,
        was_retried=True,
    )


def is_full(where: str, needed_bytes: int = _MIN_FREE) -> bool:
    """Whether a disk has fewer free bytes than needed."""
    with contextlib.suppress(OSError):
        return shutil.disk_usage(where).free < needed_bytes
    return False


def _is_out(where: str) -> bool:
    """Whether a file system has no room for a file."""
    return is_full(where) or _has_no_inode(where)


def _has_no_inode(where: str) -> bool:
    """Whether a file system counts its files, and has no room for another one."""
    with contextlib.suppress(OSError):
        status = os.statvfs(where)
        return status.f_files > 0 and status.f_favail == 0
    return False


def _free(where: str) -> str:
    with contextlib.suppress(OSError):
        return f" ({shutil.disk_usage(where).free // 2**20} MiB free)"
    return ""


def fsync_path(path: Path) -> None:
    """Flush a file, or a folder's entries, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def atomic_file(target: Path) -> Iterator[Path]:
    """A temporary file to fill; it is flushed and renamed to ``target`` at the end."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        fsync_path(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def work_prefix(kind: str = WORK) -> str:
    """The prefix of the names of this process's work folders."""
    return f"{kind}{str(this_process()).replace('/', '~')}~"


def sweep(parent: Path, kind: str = WORK) -> None:
    """Delete work folders whose process on this machine has ended."""
    for path in parent.glob(f"{kind}*"):
        owner = path.name.removeprefix(kind).rpartition("~")[0]
        if has_ended(owner.replace("~", "/")):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def own_temporary_folder() -> Iterator[None]:
    """Use one folder for the temporary files of this process and its children.

    Only the user can read the folder, and it is deleted when the block ends. The block
    is re-entrant. If the folder cannot be made, the system's default is used.
    """
    parent = _parent()
    if parent is None:
        yield
        return
    sweep_temporary(parent)
    with contextlib.ExitStack() as stack:
        try:
            temporary = tempfile.TemporaryDirectory(
                prefix=PREFIX, dir=parent, ignore_cleanup_errors=True
            )
            folder = stack.enter_context(temporary)
            Path(folder, _OWNER_FILE).write_text(str(this_process()), encoding="utf-8")
        except OSError:
            yield
            return
        stack.callback(setattr, tempfile, "tempdir", tempfile.tempdir)
        stack.enter_context(restore_variables("TMPDIR"))
        tempfile.tempdir = os.environ["TMPDIR"] = folder
        yield


def shared_temporary_folder() -> str:
    """The system's temporary folder, for a process that outlives this one."""
    folder = Path(tempfile.gettempdir())
    return str(folder.parent if _owner(folder) == str(this_process()) else folder)


def _parent() -> Path | None:
    """The system's temporary folder; None if this process has its own already."""
    try:
        parent = Path(tempfile.gettempdir())
    except OSError:
        return None
    return None if _owner(parent) == str(this_process()) else parent


def sweep_temporary(parent: Path) -> None:
    """Delete this user's folders whose process on this machine has ended."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            owner = _owner(path)
            if has_ended(owner):
                shutil.rmtree(path, ignore_errors=True)
            elif not owner and time.time() - status.st_mtime > _ORPHAN_SECONDS:
                path.rmdir()  # its process was killed before it wrote the owner file


def _owner(folder: Path) -> str:
    with contextlib.suppress(OSError):
        return (folder / _OWNER_FILE).read_text(encoding="utf-8", errors="replace")
    return ""
