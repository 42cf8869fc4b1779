"""Databases: which, reachable or not, and their clock."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

from headrace.settings import Settings
from headrace_ops.doctor.asking import SECONDS, clock_check
from headrace_ops.doctor.check import Check


def check_ledger(settings: Settings) -> list[Check]:
    """The ledger's database, and the chain over its rows."""
    url = re.sub("^postgresql:", "postgresql+psycopg2:", settings.database_url)
    checks = check_database("ledger", url, settings)
    if all(check.state == "ok" for check in checks):
        checks += _check_chain(url)
    return checks


def _check_chain(url: str) -> list[Check]:
    """Whether every row is as it was written; changes nothing, nor takes over."""
    import sqlalchemy as sa

    from headrace.state.ledger import Ledger

    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and not parsed.query:
        if not Path(parsed.database or "").exists():
            return []
        url = f"sqlite:///file:{parsed.database}?mode=ro&uri=true"
    found = Ledger.format_at(url)
    if found is None:
        return []
    if found == 1:
        seen = "of an older release: the next command takes its rows over"
        return [Check(name="ledger chain", state="hint", seen=seen)]
    report = Ledger(url).walk_chain()
    if report.problem:
        return [
            Check(
                name="ledger chain",
                state="wrong",
                seen=report.problem,
                fix="Restore the ledger from a backup; see who may write there.",
            )
        ]
    seen = f"{report.rows:,} rows, last link {report.head[:16]}"
    return [Check(name="ledger chain", state="ok", seen=seen)]


def check_database(name: str, url: str, settings: Settings) -> list[Check]:
    """A database by its SQLAlchemy URL; makes nothing in it."""
    import sqlalchemy as sa

    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        fix = "Write it as postgresql://user@host/name."
        seen = "its URL cannot be read"
        return [Check(name=name, state="wrong", seen=seen, fix=fix)]
    if parsed.get_backend_name() == "sqlite":
        return [_check_file(name, Path(parsed.database or ""))]
    return _check_server(name, parsed, settings)


def _check_file(name: str, path: Path) -> Check:
    if not path.exists():
        seen = f"{path}, made by the first run"
        return Check(name=name, state="ok", seen=seen)
    from headrace.state.ledger.files import is_read_only

    if is_read_only(path):
        seen = f"SQLite {path}: it is read-only: nothing can be added to it"
        fix = "To run something, allow it to be written, or set HEADRACE_HOME."
        return Check(name=name, state="hint", seen=seen, fix=fix)
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=1)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        fix = "End what holds it, or use PostgreSQL: `headrace up --postgres`."
        return Check(
            name=name, state="unreachable", seen=f"SQLite {path}: {error}", fix=fix
        )
    except sqlite3.DatabaseError as error:
        fix = "Put a copy back, or move it away to begin anew."
        return Check(name=name, state="wrong", seen=f"SQLite {path}: {error}", fix=fix)
    return Check(name=name, state="ok", seen=f"SQLite {path}")


def _check_server(name: str, url: Any, settings: Settings) -> list[Check]:
    import sqlalchemy as sa

    shown = url.render_as_string(hide_password=True)
    own = settings.postgres_socket
    is_own = bool(own) and url.query.get("host") == own
    try:
        engine = sa.create_engine(
            url,
            poolclass=sa.NullPool,
            connect_args={"connect_timeout": max(2, int(SECONDS))},
        )
        with engine.connect() as connection:
            now = "SELECT extract(epoch FROM clock_timestamp()), version()"
            there, version = connection.exec_driver_sql(now).one()
    except ModuleNotFoundError as error:
        fix = "Write it as postgresql+psycopg2://, with 'headrace[postgres]' installed."
        seen = f"{shown} needs the package {error.name!r}"
        return [Check(name=name, state="wrong", seen=seen, fix=fix)]
    except sa.exc.SQLAlchemyError as error:
        why = (str(getattr(error, "orig", error)).strip().splitlines() or ["?"])[0]
        return [
            Check(
                name=name,
                state="unreachable",
                seen=f"{shown} does not answer: {why}",
                fix="headrace up --postgres"
                if is_own
                else "Start it, or correct its URL.",
            )
        ]
    kind = " ".join(str(version).split()[:2])
    found = Check(name=name, state="ok", seen=f"{kind}, {shown}")
    return [found, *clock_check(name, float(there))]
