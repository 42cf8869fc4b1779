"""New SQLite databases, copied from templates in the user's cache folder.

The migrations of MLflow and Prefect take seconds and always end in the same tables. So
the first database of each version, made by the library's own tool and still without
rows of a user, is kept as a template. The digest in its name is checked at each use.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from headrace.settings.home import make_private_file
from headrace.state.cache import user_cache
from headrace.state.disk import atomic_file, fsync_path


def new_database(path: Path, library: str, migrate: Callable[[Path], None]) -> None:
    """Create a database whole or not at all; nothing is done if it exists.

    Concurrent or killed migrations would leave an unusable database.

    Args:
        path: of the database.
        library: the distribution whose version decides the tables.
        migrate: creates the tables in an empty file, and closes it.

    Raises:
        OSError: the database cannot be written.
    """
    if path.exists():
        return
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        make_private_file(new)
        template = _find(library)
        if template is not None:
            new.write_bytes(template)
        else:
            migrate(new)
            if content := new.read_bytes():
                _keep(library, content)
        fsync_path(new)
        new.replace(path)


def _prefix(library: str) -> str:
    return f"{library}-{version(library)}-"


def _find(library: str) -> bytes | None:
    folder = user_cache("templates")
    for file in folder.glob(f"{_prefix(library)}*.db") if folder else ():
        with contextlib.suppress(OSError):
            content = file.read_bytes()
            if file.stem.endswith(f"-{hashlib.sha256(content).hexdigest()}"):
                return content
            file.unlink()  # damaged
    return None


def _keep(library: str, content: bytes) -> None:
    name = f"{_prefix(library)}{hashlib.sha256(content).hexdigest()}.db"
    if folder := user_cache("templates"):
        with contextlib.suppress(OSError), atomic_file(folder / name) as new:
            make_private_file(new)
            new.write_bytes(content)
