"""The tables of the ledger. Rows are added to them, never changed or removed.

Each row, except the format marker, has a link in ``chain``. Triggers refuse changes.
"""

from __future__ import annotations

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


def _is_version(column: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["model", column], ["versions.model", "versions.version"]
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
EVIDENCE = sa.Table(
    "evidence",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *map(_text, ("model", "kind", "snapshot_digest", "run_id", "created")),
    *map(_text, ("law_digest", "rows_digest")),
    *map(_number, ("version", "champion_sequence")),
    _number("champion_version", nullable=True),
    _number("best_version", nullable=True),
    _flag("passed"),
    *map(_json, ("gates", "metrics", "law", "overrides")),
    _is_version("version"),
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
    _is_version("from_version"),
    _is_version("to_version"),
)
APPROVALS = sa.Table(
    "approvals",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *map(_text, ("model", "action", "who", "when", "why")),
    *map(_number, ("version", "step")),
    sa.Column("expires", sa.String, nullable=True),
    _flag("four_eyes"),
    sa.Column("evidence_id", sa.ForeignKey("evidence.id"), nullable=True),
    sa.UniqueConstraint("model", "version", "step"),
    _is_version("version"),
)
BINDINGS = sa.Table(
    "bindings",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *map(_text, ("model", "run_id", "model_uri", "model_digest", "golden_digest")),
    *map(_text, ("who", "when", "why")),
    *map(_number, ("version", "step")),
    _json("details"),
    sa.UniqueConstraint("model", "version", "step"),
    _is_version("version"),
)
ANCHORS = sa.Table(
    "anchors",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *map(_text, ("key", "digest", "created")),
    sa.Index("anchors_by_key", "key", "id"),
)
ADOPTIONS = sa.Table(
    "adoptions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *map(_text, ("what", "who", "when")),
    _number("count"),
    sa.UniqueConstraint("what"),
)
DEPLOYMENTS = sa.Table(
    "deployments",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *map(_text, ("name", "entrypoint", "who", "when")),
)
CHAIN = sa.Table(
    "chain",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    *map(_text, ("table", "row", "digest", "link")),
)
CHAINED = [table for table in METADATA.sorted_tables if table not in (MARKER, CHAIN)]

for _table in (*CHAINED, CHAIN):
    forbid_changes(_table)
