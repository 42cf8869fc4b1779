"""The places that MLflow's database has written down, which are absolute.

A home is a folder that may be moved or copied: the database in it follows.
"""

from __future__ import annotations

import os
from pathlib import Path

import sqlalchemy as sa

from headrace.settings import Settings

_PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def follow_home(settings: Settings) -> None:
    """Have the home's own MLflow database name the places that artifacts have now."""
    uri, artifacts = settings.tracking_uri, settings.artifacts
    file = uri.removeprefix("sqlite:///")
    is_own = uri == settings.home_tracking_uri and artifacts.startswith("file:")
    if not is_own or (file != uri and not _is_writable(Path(file))):
        return
    engine = sa.create_engine(uri, poolclass=sa.NullPool)
    with engine.begin() as connection:
        if not sa.inspect(connection).has_table("experiments"):
            return
        query = sa.text("SELECT name, artifact_location FROM experiments")
        roots = {
            str(place).removesuffix(f"/{name}")
            for name, place in connection.execute(query)
            if str(place).endswith(f"/mlartifacts/{name}")
        }
        for root in roots - {artifacts}:
            if root.startswith("file:"):
                relocate(connection, root, artifacts)


def relocate(connection: sa.Connection, old: str, new: str) -> None:
    """Replace the beginning of all places in a database of MLflow."""
    for table, column in _PLACES.items():
        rest = f"substr({column}, {len(old) + 1})"
        statement = (
            f"UPDATE {table} SET {column} = :new || {rest} "  # noqa: S608
            f"WHERE substr({column}, 1, {len(old) + 1}) = :old"
        )
        connection.execute(sa.text(statement), {"new": new, "old": f"{old}/"})


def _is_writable(file: Path) -> bool:
    return (
        file.is_file() and os.access(file, os.W_OK) and os.access(file.parent, os.W_OK)
    )
