"""Bindings: the files that hold a version's weights, once they are re-saved."""

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
    """The files that hold a version's weights from now on, and the reason.

    The weights stay those that were registered. A Keras file contains the time of
    saving, so equal weights that are saved again have another digest.

    Attributes:
        step: 1, 2, 3 … without gaps in one version; the last one is valid.
        when: ISO 8601, UTC.
        details: override the version's details of the same names.
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
    """Versions with the files of their last bindings."""

    _database: Database

    def bind(self, version: Version, **values: Any) -> Version:
        """Bind a version to other files; its own row is not changed.

        Args:
            version: with its current binding.
            values: of the `Binding`: model_uri, model_digest, golden_digest, who, why.

        Returns:
            the version with its last binding, which a concurrent call may have added.
        """
        step = int(version.details.get("binding", 0)) + 1
        row = Binding(model=version.model, version=version.version, step=step, **values)
        with contextlib.suppress(sa.exc.IntegrityError):
            self._database.add(BINDINGS, row)
        own = VERSIONS.c
        return self._versions(
            own.model == version.model, own.version == version.version
        )[0]

    def bindings(self, model: str) -> list[Binding]:
        """All bindings of a model's versions, oldest first."""
        return self._database.records(Binding, BINDINGS, BINDINGS.c.model == model)

    def _versions(self, *conditions: sa.ColumnElement[bool]) -> list[Version]:
        own, bound, steps = VERSIONS.c, BINDINGS.c, BINDINGS.alias().c
        last = (
            sa.select(sa.func.max(steps.step))
            .where(steps.model == own.model, steps.version == own.version)
            .scalar_subquery()
        )
        is_last = (bound.model == own.model) & (bound.version == own.version)
        query = (
            sa.select(VERSIONS, *(bound[name].label(f"_{name}") for name in _BOUND))
            .select_from(VERSIONS)
            .outerjoin(BINDINGS, is_last & (bound.step == last))
            .where(*conditions)
            .order_by(own.version)
        )
        return [_as_bound(row) for row in self._database.rows(query)]


_BOUND = ("step", "run_id", "model_uri", "model_digest", "golden_digest", "details")


def _as_bound(row: Mapping[str, Any]) -> Version:
    """A version with its last binding, from a row of the join."""
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
