"""Database triggers that make the ledger's tables append-only.

They prevent accidents by anyone with the ledger's credentials. An attacker can drop
them, but then the changed rows do not match the hash chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

REFUSAL = "rows of the ledger are never changed or removed"
_FUNCTION = "headrace_append_only"
_CREATE_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
)


def forbid_changes(table: sa.Table) -> None:
    """Create the triggers of a table whenever it is created."""
    for dialect in ("sqlite", "postgresql"):
        for statement in _statements(dialect, table):
            escaped = statement.replace("%", "%%")
            ddl: Any = sa.DDL(escaped)  # type: ignore[no-untyped-call]
            sa.event.listen(table, "after_create", ddl.execute_if(dialect=dialect))


def add_triggers(connection: sa.Connection, table: sa.Table) -> None:
    """Create the triggers of an existing table."""
    for statement in _statements(connection.dialect.name, table):
        connection.exec_driver_sql(statement)


def _statements(dialect: str, table: sa.Table) -> list[str]:
    if dialect == "sqlite":
        return list(_sqlite_triggers(table).values())
    return [_CREATE_FUNCTION, *_postgresql_triggers(table).values()]


def missing_triggers(
    connection: sa.Connection, tables: Iterable[sa.Table]
) -> list[str]:
    """The names of triggers that are missing, disabled or changed."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        present = {name: sql for name, sql in connection.exec_driver_sql(query)}
        return [
            name
            for table in tables
            for name, statement in _sqlite_triggers(table).items()
            if present.get(name) != statement
        ]
    query_enabled = sa.text(
        "SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid) "
        "AND p.proname = :function AND position(:refusal IN p.prosrc) > 0"
    )
    wanted = {"function": _FUNCTION, "refusal": REFUSAL}
    enabled = set(connection.execute(query_enabled, wanted).scalars())
    names = [name for table in tables for name in _postgresql_triggers(table)]
    return [name for name in names if name not in enabled]


def unique_columns(table: sa.Table) -> list[Sequence[str]]:
    """The sets of columns that are unique, the primary key first."""
    primary = [column.name for column in table.primary_key.columns]
    others = [
        [column.name for column in constraint.columns]
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    ]
    return [names for names in (primary, *sorted(others)) if names]


def _sqlite_triggers(table: sa.Table) -> dict[str, str]:
    """Statements by the name of the trigger.

    ``INSERT OR REPLACE`` deletes rows without firing the delete trigger, so a separate
    trigger refuses rows that exist already.
    """
    same = [
        " AND ".join(f'"{name}" IS NEW."{name}"' for name in names)
        for names in [*unique_columns(table), ["rowid"]]
    ]
    taken = f'SELECT 1 FROM "{table.name}" WHERE ' + " OR ".join(same)  # noqa: S608
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    kinds = {
        "update": f'BEFORE UPDATE ON "{table.name}" {refuse}',
        "delete": f'BEFORE DELETE ON "{table.name}" {refuse}',
        "replace": f'BEFORE INSERT ON "{table.name}" WHEN EXISTS ({taken}) {refuse}',
    }
    return {
        f"{table.name}_no_{kind}": f'CREATE TRIGGER "{table.name}_no_{kind}" {text}'
        for kind, text in kinds.items()
    }


def _postgresql_triggers(table: sa.Table) -> dict[str, str]:
    name = f"{table.name}_append_only"
    return {
        name: f'CREATE TRIGGER "{name}" BEFORE UPDATE OR DELETE OR TRUNCATE '
        f'ON "{table.name}" FOR EACH STATEMENT EXECUTE FUNCTION {_FUNCTION}()'
    }
