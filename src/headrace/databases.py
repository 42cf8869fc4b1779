"""The databases of a home: SQLite files, or those of a PostgreSQL of its own."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from urllib.parse import quote

from headrace.errors import DependencyError, UsageError

POSTGRES_FILE, POSTGRES_FOLDER = "postgres.json", "postgres"


def postgres_socket(home: Path) -> str:
    """The socket folder of the home's own PostgreSQL; empty if it has none.

    A copied or moved home has none until its own PostgreSQL has been started: the
    recorded socket is that of the other home.
    """
    file = home / POSTGRES_FILE
    try:
        recorded = json.loads(file.read_text(encoding="utf-8"))
        if recorded.get("home", str(home.resolve())) != str(home.resolve()):
            return str(home.resolve() / POSTGRES_FOLDER)
        return str(recorded["socket"])
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(
            f"The file {file} cannot be read.",
            "Delete it, and run `headrace up --postgres`, which writes it.",
        ) from None


def postgres_url(socket_folder: str, database: str, driver: str = "psycopg2") -> str:
    """SQLAlchemy URL of a database at a local socket."""
    return f"postgresql+{driver}://postgres@/{database}?host={quote(socket_folder)}"


def home_database(home: Path, name: str) -> str:
    """A database in the home's own PostgreSQL, or a SQLite file if it has none."""
    if folder := postgres_socket(home):
        return postgres_url(folder, name)
    return f"sqlite:///{home.absolute()}/{name}.db"


def check_running(home: Path, socket_folder: str) -> None:
    """Raise DependencyError if the PostgreSQL of a home is down."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(f"{socket_folder}/.s.PGSQL.5432")
        except OSError:
            raise DependencyError(
                f"The PostgreSQL of the home {home} is not running.",
                "Start it with `headrace up --postgres`, and run the same command "
                "again.",
            ) from None
