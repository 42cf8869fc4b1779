"""Takes reports out of the events in a home's databases of Prefect.

Prefect keeps the text of each report in an event, too, writes another one when the
report is deleted, and has no route that deletes events.
"""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from headrace.databases import postgres_url
from headrace.errors import DependencyError
from headrace.settings import Settings

EVENTS = "prefect.artifact-collection."
_TABLES = ("artifact", "artifact_collection")
_WAIT_SECONDS = 30


def delete_events(settings: Settings) -> int:
    """Delete the events on reports.

    What SQLite and PostgreSQL have kept of deleted rows is written over. A server may
    use the database meanwhile.

    Returns:
        the number of deleted events.

    Raises:
        DependencyError: a database does not answer, or is in use.
    """
    return sum(_clean(url) for url in _databases(settings))


def _databases(settings: Settings) -> Iterator[str]:
    """Those of the home: another in PREFECT_HOME may have other projects' reports."""
    path = settings.home.absolute() / "prefect" / "prefect.db"
    if path.is_file():
        yield f"sqlite:///{path}"
    if settings.postgres_socket:
        yield postgres_url(settings.postgres_socket, "prefect")


def _clean(url: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            is_sqlite = engine.dialect.name == "sqlite"
            if is_sqlite:
                connection.exec_driver_sql(f"PRAGMA busy_timeout = {_WAIT_SECONDS}000")
            if not sa.inspect(connection).has_table("events"):
                return 0
            count = _delete_events(connection)
            connection.commit()
            connection.execution_options(isolation_level="AUTOCOMMIT")
            _overwrite(connection, is_sqlite=is_sqlite)
            return count
    except sa.exc.DBAPIError as error:
        raise DependencyError(
            f"Prefect's database {engine.url.render_as_string()} did not answer: "
            f"{error.orig}.",
            "Run the same command again: it goes on where it stopped.",
        ) from error
    finally:
        engine.dispose()


def _delete_events(connection: sa.Connection) -> int:
    events = sa.table("events", sa.column("id"), sa.column("event"))
    resources = sa.table("event_resources", sa.column("event_id"))
    are_of_reports = events.c.event.startswith(EVENTS)
    chosen = sa.select(events.c.id).where(are_of_reports)
    connection.execute(sa.delete(resources).where(resources.c.event_id.in_(chosen)))
    return connection.execute(sa.delete(events).where(are_of_reports)).rowcount


def _overwrite(connection: sa.Connection, *, is_sqlite: bool) -> None:
    """Give up the pages of deleted rows, and what the write-ahead log has of them."""
    if not is_sqlite:
        for table in ("events", "event_resources", *_TABLES):
            connection.exec_driver_sql(f"VACUUM FULL {table}")
        connection.exec_driver_sql("CHECKPOINT")
        return
    connection.exec_driver_sql("VACUUM")
    is_busy, *_ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    if is_busy:
        raise DependencyError(
            f"Prefect's database {connection.engine.url.database} is in use, so that "
            "its write-ahead log still has deleted reports.",
            "Run the same command again, or stop `headrace up` first.",
        )
