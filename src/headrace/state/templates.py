"""New SQLite databases, copied from templates in the user's cache folder.

The migrations of MLflow and Prefect take seconds and always end in the same tables. So
the first database of each version, made by the library's own tool and still without
rows of a user, is kept as a template.
"""

from __future__ import annotations

import contextlib
import fcntl
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
        folder = user_cache("templates")
        template = folder / f"{library}-{version(library)}.db" if folder else None
        if template is not None and template.is_file():
            new.write_bytes(template.read_bytes())
        else:
            migrate(new)
            if template is not None:
                with contextlib.suppress(OSError), atomic_file(template) as copy:
                    make_private_file(copy)
                    copy.write_bytes(new.read_bytes())
        fsync_path(new)
        new.replace(path)
