"""The append-only tables of the ledger, and the triggers that refuse changes.

Each row, except the format marker, has a link in the hash chain. The triggers prevent
accidents by anyone with the ledger's credentials. An attacker can drop them, but then
the changed rows do not match the hash chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from headrace.records import LoggedModel

FORMAT = 2
COPY_FOLDER = "ledger"  # of the store, with a copy of the rows
REFUSAL = "rows of the ledger are never changed or removed"
_FUNCTION = "headrace_append_only"
_CREATE_FUNCTION = (
    f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
)

METADATA = sa.MetaData()


def columns(
    kind: type[sa.types.TypeEngine[Any]], *names: str, nullable: bool = False
) -> list[sa.Column[Any]]:
    """Columns of one type."""
    return [sa.Column(name, kind, nullable=nullable) for name in names]


def _refers_to_version(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["model", column], ["versions.model", "versions.version"]
    )


def _numbered(name: str, *parts: sa.schema.SchemaItem) -> sa.Table:
    key = sa.Column("id", sa.Integer, primary_key=True)
    return sa.Table(name, METADATA, key, *parts)


def _steps(name: str, texts: Iterable[str], *more: sa.schema.SchemaItem) -> sa.Table:
    """A table whose rows are the numbered steps of each version."""
    return _numbered(
        name,
        *columns(sa.String, *texts),
        *columns(sa.Integer, "version", "step"),
        *more,
        sa.UniqueConstraint("model", "version", "step"),
        _refers_to_version("version"),
    )


MARKER = sa.Table("ledger_format", METADATA, *columns(sa.Integer, "format"))
VERSIONS = sa.Table(
    "versions",
    METADATA,
    *columns(sa.String, "model", "training", "run_id", "model_uri", "model_digest"),
    *columns(sa.String, "weights_digest", "snapshot_digest", "created", "created_by"),
    *columns(sa.Integer, "version"),
    *columns(sa.JSON, "details"),
    sa.PrimaryKeyConstraint("model", "version"),
    sa.UniqueConstraint("model", "training"),
)
EVIDENCE = _numbered(
    "evidence",
    *columns(sa.String, "model", "kind", "snapshot_digest", "run_id", "created"),
    *columns(sa.String, "law_digest", "rows_digest"),
    *columns(sa.Integer, "version", "champion_sequence"),
    *columns(sa.Integer, "champion_version", "best_version", nullable=True),
    *columns(sa.Boolean, "passed"),
    *columns(sa.JSON, "gates", "metrics", "law", "overrides"),
    _refers_to_version("version"),
)
ENTRIES = sa.Table(
    "entries",
    METADATA,
    *columns(sa.String, "model", "action", "who", "when", "why"),
    *columns(sa.Integer, "sequence", "to_version"),
    *columns(sa.Integer, "from_version", nullable=True),
    *columns(sa.Boolean, "forced"),
    sa.Column("evidence_id", sa.ForeignKey("evidence.id"), nullable=True),
    sa.UniqueConstraint("model", "sequence"),
    _refers_to_version("from_version"),
    _refers_to_version("to_version"),
)
APPROVALS = _steps(
    "approvals",
    ("model", "action", "who", "when", "why"),
    *columns(sa.String, "expires", nullable=True),
    *columns(sa.Boolean, "four_eyes"),
    sa.Column("evidence_id", sa.ForeignKey("evidence.id"), nullable=True),
)
_BINDING = ("model", *LoggedModel.FILES, "who", "when", "why")
BINDINGS = _steps("bindings", _BINDING, *columns(sa.JSON, "details"))
ANCHORS = _numbered(
    "anchors",
    *columns(sa.String, "key", "digest", "created"),
    sa.Index("anchors_by_key", "key", "id"),
)
# A deployment has Prefect's name, <flow>/<deployment>, and the entrypoint of its flow;
# a folder in the store sha256: and its digest, and its pipeline. `anchors` names more
# facts of a pipeline: which folder is deployed, which project judges it. "" withdraws.
_DEPLOYMENT = ("name", "entrypoint", "who", "when")
DEPLOYMENTS = _numbered("deployments", *columns(sa.String, *_DEPLOYMENT))
TAMPERINGS = _numbered(
    "tamperings",
    *columns(sa.String, "model", "what", "action", "who", "when", "why"),
    *columns(sa.Integer, "version", nullable=True),
    *columns(sa.Integer, "step"),
    sa.UniqueConstraint("model", "what", "step"),
)
# What `headrace gc` has collected: recorded before it is deleted.
COLLECTIONS = _numbered(
    "collections", *columns(sa.String, "who", "when"), *columns(sa.JSON, "policy")
)
COLLECTED = _numbered(
    "collected",
    *columns(sa.String, "kind", "key", "digest"),
    *columns(sa.BigInteger, "bytes"),
    sa.Column("collection", sa.ForeignKey("collections.id"), nullable=False),
)
# That something was forgotten, by whom and when; not what: `mark` is a keyed digest.
FORGETTINGS = _numbered(
    "forgettings", *columns(sa.String, "pipeline", "kind", "who", "when", "salt")
)
TOMBSTONES = _numbered(
    "tombstones",
    *columns(sa.String, "mark"),
    sa.Column("forgetting", sa.ForeignKey("forgettings.id"), nullable=False),
    sa.UniqueConstraint("mark"),
)
FORGOTTEN = _numbered(
    "forgotten",
    *columns(sa.String, "when"),
    *columns(sa.JSON, "counts"),
    sa.Column("forgetting", sa.ForeignKey("forgettings.id"), nullable=False),
)
CHAIN = sa.Table(
    "chain",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *columns(sa.String, "table", "row", "digest", "link"),
    sa.Index("chain_by_table", "table"),
)
DECIDING = [VERSIONS, EVIDENCE, ENTRIES, APPROVALS, BINDINGS]
CHAINED = [table for table in METADATA.sorted_tables if table not in (MARKER, CHAIN)]
# Of links of the chain. It is made when the first one is signed.
SIGNED = sa.MetaData()
SIGNATURES = sa.Table(
    "signatures",
    SIGNED,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *columns(sa.String, "link", "key", "signature"),
)


def add_triggers(connection: sa.Connection, table: sa.Table) -> None:
    """Create the triggers of an existing table."""
    for statement in _statements(connection.dialect.name, table):
        connection.exec_driver_sql(statement)


def drop_triggers(connection: sa.Connection, table: sa.Table) -> None:
    """Drop the triggers of a table, those that are there."""
    names = [f"{table.name}_append_only"]
    on = f' ON "{table.name}"'
    if connection.dialect.name == "sqlite":
        names, on = list(_sqlite_triggers(table)), ""
    for name in names:
        connection.exec_driver_sql(f'DROP TRIGGER IF EXISTS "{name}"{on}')


def _statements(dialect: str, table: sa.Table) -> list[str]:
    if dialect == "sqlite":
        return list(_sqlite_triggers(table).values())
    event = f'BEFORE UPDATE OR DELETE OR TRUNCATE ON "{table.name}" FOR EACH STATEMENT'
    create = f'CREATE TRIGGER "{table.name}_append_only" {event}'
    return [_CREATE_FUNCTION, f"{create} EXECUTE FUNCTION {_FUNCTION}()"]


def missing_triggers(
    connection: sa.Connection, tables: Iterable[sa.Table]
) -> list[str]:
    """The names of triggers that are missing, disabled or changed."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        present = {name: sql for name, sql in connection.exec_driver_sql(query)}
        wanted = {k: v for table in tables for k, v in _sqlite_triggers(table).items()}
        return [name for name, sql in wanted.items() if present.get(name) != sql]
    query_enabled = sa.text(
        "SELECT t.tgname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "JOIN pg_class c ON c.oid = t.tgrelid "
        "WHERE t.tgenabled IN ('O', 'A') AND pg_table_is_visible(c.oid) "
        "AND p.proname = :function AND position(:refusal IN p.prosrc) > 0"
    )
    values = {"function": _FUNCTION, "refusal": REFUSAL}
    enabled = set(connection.execute(query_enabled, values).scalars())
    names = [f"{table.name}_append_only" for table in tables]
    return [name for name in names if name not in enabled]


def unique_columns(table: sa.Table) -> list[Sequence[str]]:
    """The sets of columns that are unique, the primary key first."""
    unique = (c for c in table.constraints if isinstance(c, sa.UniqueConstraint))
    others = sorted(constraint.columns.keys() for constraint in unique)
    return [names for names in (table.primary_key.columns.keys(), *others) if names]


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


def _forbid_changes(table: sa.Table) -> None:
    """Create the triggers of a table whenever it is created."""
    for dialect in ("sqlite", "postgresql"):
        for statement in _statements(dialect, table):
            escaped = statement.replace("%", "%%")
            ddl: Any = sa.DDL(escaped)  # type: ignore[no-untyped-call]
            sa.event.listen(table, "after_create", ddl.execute_if(dialect=dialect))


for _table in (*CHAINED, CHAIN, SIGNATURES):
    _forbid_changes(_table)
