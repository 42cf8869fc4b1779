"""The files that hold a version's weights, which may become others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from pydantic import Field

from headrace.records import Record
from headrace.state.ledger.database import Database
from headrace.state.ledger.rows import Version, utc_now
from headrace.state.ledger.tables import BINDINGS, VERSIONS


class Binding(Record):
    """Which files hold a version's weights from now on, and why.

    The weights are those that were registered. A Keras file has its time in it, so the
    same weights saved again are another file.

    Attributes:
        step: 1, 2, 3 … without gaps in one version; the last one holds.
        when: ISO 8601, UTC.
        details: what replaces the details of the same names of the version.
    """

    model: str
    version: int
    step: int = Field(ge=1)
    run_id: str
    model_uri: str
    model_digest: str
    golden_digest: str
    who: str
    when: str = Field(default_factory=utc_now)
    why: str
    details: Mapping[str, Any] = {}


class Bindings:
    """Versions with the files that they are bound to."""

    _database: Database

    def bind(self, version: Version, **values: Any) -> Version:
        """Let a version have other files from now on; its row stays as it is.

        Args:
            version: as it is bound now.
            values: of the `Binding`: model_uri, model_digest, golden_digest, who, why.

        Returns:
            the version as it is bound afterwards, by this call or by another that
            came first.
        """
        step = int(version.details.get("binding", 0)) + 1
        row = Binding(model=version.model, version=version.version, step=step, **values)
        with contextlib.suppress(sa.exc.IntegrityError):
            self._database.add(BINDINGS, row)
        own = VERSIONS.c
        is_it = sa.and_(own.model == version.model, own.version == version.version)
        return self._versions(is_it)[0]

    def bindings(self, model: str) -> list[Binding]:
        """All changes of files of a model's versions, oldest first."""
        own = BINDINGS.c.model == model
        return self._database.records(Binding, BINDINGS, own)

    def _versions(self, *conditions: sa.ColumnElement[bool]) -> list[Version]:
        own, bound = VERSIONS.c, BINDINGS.c
        is_its = sa.and_(bound.model == own.model, bound.version == own.version)
        all_ = BINDINGS.alias().c
        last = (
            sa.select(sa.func.max(all_.step))
            .where(all_.model == own.model, all_.version == own.version)
            .scalar_subquery()
        )
        query = (
            sa.select(VERSIONS, *(bound[name].label(f"_{name}") for name in _BOUND))
            .select_from(VERSIONS)
            .outerjoin(BINDINGS, sa.and_(is_its, bound.step == last))
            .where(*conditions)
            .order_by(own.version)
        )
        return [_as_bound(row) for row in self._database.rows(query)]


_BOUND = ("step", "run_id", "model_uri", "model_digest", "golden_digest", "details")


def _as_bound(row: Mapping[str, Any]) -> Version:
    """A version with the files of its last binding, from one row of both tables."""
    own = {name: value for name, value in row.items() if not name.startswith("_")}
    if row["_step"] is None:
        return Version(**own)
    files = {name: row[f"_{name}"] for name in ("run_id", "model_uri", "model_digest")}
    details = {
        **own["details"],
        **row["_details"],
        "golden_digest": row["_golden_digest"],
        "binding": row["_step"],
    }
    return Version(**{**own, **files, "details": details})
