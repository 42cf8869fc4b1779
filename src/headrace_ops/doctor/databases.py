"""Checks of databases: whether they answer, their clock, and the ledger's chain."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from headrace.settings import Settings
from headrace_ops.doctor.check import Check, hint, ok, unreachable, wrong

CLOCK_SECONDS = 5.0


def check_ledger(settings: Settings) -> Iterator[Check]:
    """The ledger's database, and the chain over its rows."""
    url = re.sub("^postgresql:", "postgresql+psycopg2:", settings.database_url)
    states = set()
    for check in check_database("ledger", url, settings):
        states.add(check.state)
        yield check
    if states == {"ok"}:
        yield from _check_chain(url)


def _check_chain(url: str) -> Iterator[Check]:
    """Whether every row is as it was written. Migrates no rows of an older release."""
    import sqlalchemy as sa

    from headrace.state.ledger import Ledger

    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not parsed.query:
        if not Path(parsed.database or "").exists():
            return
        url = f"sqlite:///file:{parsed.database}?mode=ro&uri=true"
    version = Ledger.format_at(url)
    if version is None:
        return
    name = "ledger chain"
    if version == 1:
        message = "written by an older release: the next command migrates its rows"
        yield hint(name, message)
    elif problem := (report := Ledger(url).walk_chain()).problem:
        fix = "Restore the ledger from a backup, and check who can write to it."
        yield wrong(name, problem, fix)
    else:
        yield ok(name, f"{report.rows:,} rows, last link {report.head[:16]}")


def check_database(name: str, url: str, settings: Settings) -> Iterator[Check]:
    """The database at a SQLAlchemy URL. Creates nothing in it."""
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        fix = "Write it as postgresql://user@host/name."
        yield wrong(name, "its URL cannot be read", fix)
        return
    if parsed.get_backend_name() == "sqlite":
        yield _check_file(name, Path(parsed.database or ""))
    else:
        yield from _check_server(name, parsed, settings)


def _check_file(name: str, path: Path) -> Check:
    if not path.exists():
        return ok(name, f"{path}, created by the first run")
    from headrace.state.ledger.engines import is_read_only

    message = f"SQLite {path}"
    if is_read_only(path):
        fix = "To run pipelines, make it writable or set HEADRACE_HOME to another home."
        return hint(name, f"{message} is read-only", fix)
    try:
        uri = f"{path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=1)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        fix = "End the process that locks it, or use `headrace up --postgres`."
        return unreachable(name, f"{message}: {error}", fix)
    except sqlite3.DatabaseError as error:
        fix = "Restore it from a backup, or move it away to start a new one."
        return wrong(name, f"{message}: {error}", fix)
    return ok(name, message)


def _check_server(name: str, url: Any, settings: Settings) -> Iterator[Check]:
    import sqlalchemy as sa

    shown = url.render_as_string(hide_password=True)
    own = settings.postgres_socket
    try:
        engine = sa.create_engine(
            url, poolclass=sa.NullPool, connect_args={"connect_timeout": 2}
        )
        with engine.connect() as connection:
            now = "SELECT extract(epoch FROM clock_timestamp()), version()"
            server_time, version = connection.exec_driver_sql(now).one()
    except ModuleNotFoundError as error:
        fix = "Write it as postgresql+psycopg2://, with 'headrace[postgres]' installed."
        yield wrong(name, f"{shown} needs the package {error.name!r}", fix)
    except sa.exc.SQLAlchemyError as error:
        why = (str(getattr(error, "orig", error)).strip().splitlines() or ["?"])[0]
        is_own = bool(own) and url.query.get("host") == own
        fix = "headrace up --postgres" if is_own else "Start it, or correct its URL."
        yield unreachable(name, f"{shown} does not answer: {why}", fix)
    else:
        yield ok(name, f"{' '.join(str(version).split()[:2])}, {shown}")
        yield from check_clock(name, float(server_time))


def check_clock(
    name: str, server_time: float, now: float | None = None
) -> Iterator[Check]:
    """Whether a server's clock, in seconds, agrees with this one."""
    apart = server_time - (time.time() if now is None else now)
    if abs(apart) > CLOCK_SECONDS:
        side = "ahead of" if apart > 0 else "behind"
        message = f"its clock is {abs(apart):.0f} s {side} this machine's"
        fix = "Synchronise both by NTP: schedules and leases depend on the clock."
        yield wrong(f"{name} clock", message, fix)
