"""The events of a ledger: one append-only table, whose rows form a hash chain.

A row has the digest of what it says, and a link: a digest of that and of the link
before. So a row that is changed, removed, inserted or reordered no longer fits. Anyone
who can write to the database can also recompute the chain. An external copy of the last
link detects that too.

The triggers prevent accidents by anyone with the ledger's credentials. An attacker can
drop them, but then the changed rows do not fit the chain.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, Self

import sqlalchemy as sa

from headrace.records import Record

FORMAT = 3
# The kinds of rows on which decisions rest; with those that have a model.
DECIDING = ("version", "evidence", "entry", "approval", "binding")
OF_MODEL = (*DECIDING, "tampering", "map_check")
COPY_FOLDER = "ledger"  # of the store, with a copy of the rows
REFUSAL = "rows of the ledger are never changed or removed"
_FUNCTION = "headrace_append_only"
_CREATE_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
)

METADATA = sa.MetaData()
Row = Mapping[str, Any]


def columns(
    kind: type[sa.types.TypeEngine[Any]], *names: str, nullable: bool = False
) -> list[sa.Column[Any]]:
    """Columns of one type."""
    return [sa.Column(name, kind, nullable=nullable) for name in names]


MARKER = sa.Table("ledger_format", METADATA, *columns(sa.Integer, "format"))
# The rows of one kind on one subject are numbered by `step`: 1, 2, 3 … So of two who
# add the same step, one succeeds.
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *columns(sa.String, "kind", "model", "subject"),
    *columns(sa.Integer, "step"),
    sa.Column("rests_on", sa.ForeignKey("events.number"), nullable=True),
    *columns(sa.JSON, "body"),
    *columns(sa.String, "digest", "link"),
    sa.UniqueConstraint("kind", "model", "subject", "step"),
)
# A training is registered once. Only versions have one, and in PostgreSQL, where the
# rest counts as well, nulls are no duplicates. To name it here would load its dialect.
sa.Index(
    "events_by_training",
    EVENTS.c.model,
    EVENTS.c.body["training"].as_string(),
    unique=True,
    sqlite_where=EVENTS.c.kind == "version",
)
# Of links of the chain. It is made when the first one is signed.
SIGNED = sa.MetaData()
SIGNATURES = sa.Table(
    "signatures",
    SIGNED,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *columns(sa.String, "link", "key", "signature"),
)
# ``INSERT OR REPLACE`` deletes rows without firing SQLite's trigger for deletions.
_TAKEN = {
    EVENTS: (
        "number = NEW.number",
        "(kind, model, subject, step) = (NEW.kind, NEW.model, NEW.subject, NEW.step)",
        "kind = 'version' AND NEW.kind = 'version' AND model = NEW.model AND "
        "json_extract(body, '$.training') = json_extract(NEW.body, '$.training')",
    ),
    SIGNATURES: ("number = NEW.number",),
}


class Key(NamedTuple):
    """What no two rows have in common."""

    kind: str
    model: str
    subject: str
    step: int


class Event(Record):
    """What a row of the ledger says: the base of its kinds.

    A kind is a subclass, which says here what the ledger has to know of it. All its
    fields but those named here are the row's body.

    Attributes:
        KIND: its name in the ledger. A field ``model`` is the row's model.
        SUBJECT: the field with what it is about in its model; empty if that is all.
        STEP: the field with its number among those on one subject, which is the next
            one if it is None; empty if the kind has no such field.
        IS_SINGLE: whether there is at most one on a subject.
    """

    KIND: ClassVar[str]
    SUBJECT: ClassVar[str] = ""
    STEP: ClassVar[str] = ""
    IS_SINGLE: ClassVar[bool] = False

    @property
    def rests_on(self) -> Key | None:
        """The row that must be there already; None if it needs none."""
        return None

    def values(self) -> dict[str, Any]:
        """Those of its row, as far as they follow from it alone."""
        body = as_json(self)
        return {
            "kind": self.KIND,
            "model": body.pop("model", ""),
            "subject": str(body.pop(self.SUBJECT, "")),
            "step": body.pop(self.STEP, None) or (1 if self.IS_SINGLE else None),
            "body": body,
        }

    @classmethod
    def of(cls, row: Row) -> Self:
        """The event of a row; raises TypeError or ValueError if its form is another."""
        named = {"model": row["model"], cls.SUBJECT: row["subject"]}
        named[cls.STEP] = row["step"]
        own = {name: value for name, value in named.items() if name in cls.model_fields}
        return cls(**row["body"], **own)


def as_json(record: Record) -> dict[str, Any]:
    """A record as JSON values; a number that is not finite becomes None."""
    values: dict[str, Any] = json.loads(record.model_dump_json())
    return values


def utc_now() -> str:
    """The current time, ISO 8601 with milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def digest_of(row: Row) -> str:
    """sha256 over what a row says, as JSON with sorted names.

    SQLite takes values of any type; no row of ours has one that JSON lacks.
    """
    names = ("kind", "model", "subject", "step", "rests_on", "body")
    values = {name: row[name] for name in names}
    form: dict[str, Any] = {"sort_keys": True, "separators": (",", ":")}
    text = json.dumps(values, default=repr, **form)
    return hashlib.sha256(text.encode()).hexdigest()


def link_of(before: str, row: Row) -> str:
    """The link of a row after the link ``before``."""
    values = [before, row["number"], row["digest"]]
    return hashlib.sha256(json.dumps(values, default=repr).encode()).hexdigest()


def name_of(row: Row) -> str:
    """A row in words, such as ``row 7 (entry digits/2)``."""
    parts = (row["model"], row["subject"], row["step"])
    if not row["kind"]:  # it cannot be read
        return f"row {row['number']}"
    return f"row {row['number']} ({row['kind']} {'/'.join(str(p) for p in parts if p)})"


def add_triggers(connection: sa.Connection, table: sa.Table) -> None:
    """Create the triggers of an existing table."""
    for statement in _statements(connection.dialect.name, table):
        connection.exec_driver_sql(statement)


def drop_triggers(connection: sa.Connection, table: sa.Table) -> None:
    """Drop the triggers of a table, those that are there."""
    names, on = [f"{table.name}_append_only"], f' ON "{table.name}"'
    if connection.dialect.name == "sqlite":
        names, on = list(_present(connection, table)), ""
    for name in names:
        connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{name}"{on}')


def trigger_problem(connection: sa.Connection, table: sa.Table) -> str:
    """Which trigger is missing, disabled, changed or somebody else's; empty if none.

    Those of others are only looked for in SQLite, where the file is Headrace's alone:
    one of them could ignore each row that is added.
    """
    if connection.dialect.name == "sqlite":
        present, wanted = _present(connection, table), _sqlite_triggers(table)
        for name in (*wanted, *present):
            if name not in wanted:
                return f"the trigger {name} is not Headrace's"
            if present.get(name) != wanted[name]:
                return f"the trigger {name} is gone or changed"
        return ""
    query_enabled = sa.text(
        "SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid) "
        "AND p.proname = :function AND position(:refusal IN p.prosrc) > 0"
    )
    values = {"function": _FUNCTION, "refusal": REFUSAL}
    name = f"{table.name}_append_only"
    enabled = set(connection.execute(query_enabled, values).scalars())
    return "" if name in enabled else f"the trigger {name} is gone or changed"


def _present(connection: sa.Connection, table: sa.Table) -> dict[str, str]:
    """The triggers of a table of SQLite: statements by name."""
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
    own = f"{query} AND tbl_name = '{table.name}'"
    return {name: sql for name, sql in connection.exec_driver_sql(own)}


def _statements(dialect: str, table: sa.Table) -> list[str]:
    if dialect == "sqlite":
        return list(_sqlite_triggers(table).values())
    event = f'BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table.name}" FOR EACH STATEMENT'
    create = f'CREATE TRIGGER "{table.name}_append_only" {event}'
    return [_CREATE_FUNCTION, f"{create} EXECUTE FUNCTION {_FUNCTION}()"]


def _sqlite_triggers(table: sa.Table) -> dict[str, str]:
    """Statements by the name of the trigger."""
    name = table.name
    taken = " OR ".join(
        f'EXISTS (SELECT 1 FROM "{name}" WHERE {same})'  # noqa: S608
        for same in _TAKEN[table]
    )
    refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    events = {
        "update": f'BEFORE UPDATE ON "{name}"',
        "delete": f'BEFORE DELETE ON "{name}"',
        "replace": f'BEFORE INSERT ON "{name}" WHEN {taken}',
    }
    return {
        f"{name}_no_{kind}": f'CREATE TRIGGER "{name}_no_{kind}" {event} {refuse}'
        for kind, event in events.items()
    }


for _table in (EVENTS, SIGNATURES):
    for _dialect in ("sqlite", "postgresql"):
        for _statement in _statements(_dialect, _table):
            _ddl: Any = sa.DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
            sa.event.listen(_table, "after_create", _ddl.execute_if(dialect=_dialect))
