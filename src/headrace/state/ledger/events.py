"""The events of a ledger: one append-only table, whose rows form a hash chain.

A row has the digest of what it says, and a link: a digest of that and of the link
before. So a row that is changed, removed, inserted or reordered by accident no longer
fits. Each promotion publishes the last link outside the ledger. The triggers refuse
what is written by mistake.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple, Self

import sqlalchemy as sa

from headrace.records import Record

FORMAT = 5
# The kinds of rows on which decisions rest.
DECIDING = ("version", "evidence", "entry", "approval")
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
# The file of a training is registered once. Only versions have one, and in PostgreSQL,
# where the rest counts as well, nulls are no duplicates. To name it here would load its
# dialect.
sa.Index(
    "events_by_training",
    EVENTS.c.model,
    EVENTS.c.body["training"].as_string(),
    EVENTS.c.body["model_digest"].as_string(),
    unique=True,
    sqlite_where=EVENTS.c.kind == "version",
)


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


def _triggers(dialect: str) -> list[str]:
    """The statements that make the triggers of the table."""
    name = EVENTS.name
    if dialect == "sqlite":
        refuse = f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        return [
            f'CREATE TRIGGER "{name}_no_{event}" BEFORE {event} ON "{name}" {refuse}'
            for event in ("update", "delete")
        ]
    events = f'BEFORE UPDATE OR DELETE OR TRUNCATE ON "{name}" FOR EACH STATEMENT'
    create = f'CREATE TRIGGER "{name}_append_only" {events}'
    return [_CREATE_FUNCTION, f"{create} EXECUTE FUNCTION {_FUNCTION}()"]


for _dialect in ("sqlite", "postgresql"):
    for _statement in _triggers(_dialect):
        _ddl: Any = sa.DDL(_statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
        sa.event.listen(EVENTS, "after_create", _ddl.execute_if(dialect=_dialect))
