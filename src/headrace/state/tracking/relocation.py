"""Rewriting the absolute artifact URIs in MLflow's database when a home is moved."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from headrace.settings import Settings
from headrace.state.ledger.engines import is_read_only

_COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def follow_home(settings: Settings) -> None:
    """Rewrite the artifact URIs in the home's own database to the home's location."""
    uri, artifacts = settings.tracking_uri, settings.artifacts
    file = Path(uri.removeprefix("sqlite:///"))
    is_own = uri == settings.home_tracking_uri and artifacts.startswith("file:")
    is_sqlite = uri.startswith("sqlite:///")
    if not is_own or (is_sqlite and (not file.is_file() or is_read_only(file))):
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
    """Replace the root of all artifact URIs in MLflow's database."""
    for table, column in _COLUMNS.items():
        rest = f"substr({column}, {len(old) + 1})"
        statement = (
            f"UPDATE {table} SET {column} = :new || {rest} "  # noqa: S608
            f"WHERE substr({column}, 1, {len(old) + 1}) = :old"
        )
        connection.execute(sa.text(statement), {"new": new, "old": f"{old}/"})
