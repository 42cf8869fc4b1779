"""The append-only tables of the ledger.

Each row, except the format marker, has a link in the hash chain. Triggers refuse
changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from headrace.state.ledger.triggers import forbid_changes

FORMAT = 2

METADATA = sa.MetaData()


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String, nullable=False)


def _number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _flag(name: str) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON, nullable=False)


def _refers_to_version(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["model", column], ["versions.model", "versions.version"]
    )


def _numbered(name: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    number = sa.Column("id", sa.Integer, primary_key=True)
    return sa.Table(name, METADATA, number, *columns)


def _steps(name: str, texts: Iterable[str], *more: sa.schema.SchemaItem) -> sa.Table:
    """A table whose rows are the numbered steps of each version."""
    return _numbered(
        name,
        *map(_text, texts),
        *map(_number, ("version", "step")),
        *more,
        sa.UniqueConstraint("model", "version", "step"),
        _refers_to_version("version"),
    )


MARKER = sa.Table("ledger_format", METADATA, _number("format"))
VERSIONS = sa.Table(
    "versions",
    METADATA,
    *map(_text, ("model", "training", "run_id", "model_uri", "model_digest")),
    *map(_text, ("weights_digest", "snapshot_digest", "created", "created_by")),
    _number("version"),
    _json("details"),
    sa.PrimaryKeyConstraint("model", "version"),
    sa.UniqueConstraint("model", "training"),
)
EVIDENCE = _numbered(
    "evidence",
    *map(_text, ("model", "kind", "snapshot_digest", "run_id", "created")),
    *map(_text, ("law_digest", "rows_digest")),
    *map(_number, ("version", "champion_sequence")),
    _number("champion_version", nullable=True),
    _number("best_version", nullable=True),
    _flag("passed"),
    *map(_json, ("gates", "metrics", "law", "overrides")),
    _refers_to_version("version"),
)
ENTRIES = sa.Table(
    "entries",
    METADATA,
    *map(_text, ("model", "action", "who", "when", "why")),
    *map(_number, ("sequence", "to_version")),
    _number("from_version", nullable=True),
    _flag("forced"),
    sa.Column("evidence_id", sa.ForeignKey("evidence.id"), nullable=True),
    sa.UniqueConstraint("model", "sequence"),
    _refers_to_version("from_version"),
    _refers_to_version("to_version"),
)
APPROVALS = _steps(
    "approvals",
    ("model", "action", "who", "when", "why"),
    sa.Column("expires", sa.String, nullable=True),
    _flag("four_eyes"),
    sa.Column("evidence_id", sa.ForeignKey("evidence.id"), nullable=True),
)
_FILES = ("run_id", "model_uri", "model_digest", "golden_digest")
_BINDING = ("model", *_FILES, "who", "when", "why")
BINDINGS = _steps("bindings", _BINDING, _json("details"))
ANCHORS = _numbered(
    "anchors",
    *map(_text, ("key", "digest", "created")),
    sa.Index("anchors_by_key", "key", "id"),
)
ADOPTIONS = _numbered(
    "adoptions",
    *map(_text, ("what", "who", "when")),
    _number("count"),
    sa.UniqueConstraint("what"),
)
_DEPLOYMENT = ("name", "entrypoint", "who", "when")
DEPLOYMENTS = _numbered("deployments", *map(_text, _DEPLOYMENT))
CHAIN = sa.Table(
    "chain",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *map(_text, ("table", "row", "digest", "link")),
)
CHAINED = [table for table in METADATA.sorted_tables if table not in (MARKER, CHAIN)]

for _table in (*CHAINED, CHAIN):
    forbid_changes(_table)
