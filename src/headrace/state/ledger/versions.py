"""Versions, the files that hold their weights, and their evidence."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from headrace.errors import NotFoundError, PromotionError, UsageError, did_you_mean
from headrace.state.ledger.database import Condition, Database, as_json
from headrace.state.ledger.former import Attempt, standing_evidence
from headrace.state.ledger.leases import LEASES, PATIENCE_SECONDS, fence, now_of
from headrace.state.ledger.rows import (
    Binding,
    Entry,
    Evidence,
    Lease,
    Version,
    model_of,
)
from headrace.state.ledger.tables import BINDINGS, EVIDENCE, VERSIONS

TIMEOUT_SECONDS = 30.0  # for a lock or a connection


def forcing(model: str, version: int) -> str:
    """The command that promotes a version without passing evidence."""
    return f"`headrace promote {model} {version} --force --reason TEXT`"


def compared_with_another(
    model: str, version: int, before: int | None, now: int | None
) -> PromotionError:
    """The error for evidence against a version that is no longer the champion."""
    return PromotionError(
        f"Version {version} of {model} was compared with the champion "
        f"{before or 'none'}, which is now {now or 'none'}.",
        f"Run `headrace run {model}` to compare it with the current champion.",
    )


class Versions:
    """Versions and evidence in one database."""

    def __init__(self, url: str, lease: Lease | None = None) -> None:
        guard, patience = (fence(lease), PATIENCE_SECONDS) if lease else (None, 0.0)
        self._database = Database(url, TIMEOUT_SECONDS, patience, guard)

    def reading_once(self) -> contextlib.AbstractContextManager[None]:
        """See `Database.reading_once`."""
        return self._database.reading_once()

    def unsettled_since(self, pipeline: str) -> float | None:
        """When the oldest run began that was killed and not recovered yet.

        Returns:
            seconds since 1970 by the database's clock.
        """
        own = sa.select(LEASES).where(LEASES.c.name == pipeline)
        with self._database.reading() as connection:
            if not sa.inspect(connection).has_table(LEASES.name):
                return None
            rows = connection.execute(own.where(LEASES.c.state != "ended")).mappings()
            leases, now = [Lease(**row) for row in rows], now_of(connection)
        dead = [lease.acquired for lease in leases if not lease.may_be_alive(now)]
        return min(dead, default=None)

    def is_unsettled(self, pipeline: str) -> bool:
        """Whether the last run was killed, and no recovery has run since."""
        return self.unsettled_since(pipeline) is not None

    def check_lease(self) -> None:
        """Raise DependencyError if another run has taken over the lease."""
        with self._database.adding():
            pass

    def add_version(self, version: Version) -> Version:
        """Add a version; idempotent for the same training.

        Raises:
            UsageError: the number belongs to another training.
        """
        try:
            return Version(**self._database.add(VERSIONS, version))
        except sa.exc.IntegrityError:
            known = self.find_training(version.model, version.training)
        if known is None:
            raise UsageError(
                f"The ledger {self._database.name} has another training as version "
                f"{version.version} of {version.model}.",
                "Set HEADRACE_DATABASE_URL to the ledger of this model registry.",
            )
        return known

    def version(self, model: str, version: int) -> Version:
        """One version; raises NotFoundError, naming those that are known."""
        is_possible = version < 2**31  # what the databases can be asked for
        if is_possible and (
            rows := self.versions(model, VERSIONS.c.version == version)
        ):
            return rows[0]
        known = ", ".join(str(row.version) for row in self.versions(model))
        models = self.models()
        named = f"Known models: {', '.join(models) or 'none'}."
        raise NotFoundError(
            f"There is no version {version} of {model}.",
            f"Known versions: {known}."
            if known
            else did_you_mean(model, models, named),
        )

    def versions(self, model: str, *where: Condition) -> list[Version]:
        """All versions of a model, or those of some conditions, by number."""
        query = sa.select(VERSIONS).where(VERSIONS.c.model == model, *where)
        bindings = sa.select(BINDINGS).where(BINDINGS.c.model == model)
        with self._database.reading() as connection:
            steps = connection.execute(bindings.order_by(BINDINGS.c.step)).mappings()
            last = {step["version"]: dict(step) for step in steps}
            rows = connection.execute(query.order_by(VERSIONS.c.version)).mappings()
            return [_as_bound(dict(row), last.get(row["version"])) for row in rows]

    def newest_version(self, model: str) -> Version:
        """The version with the highest number; raises NotFoundError."""
        if versions := self.versions(model):
            return versions[-1]
        name = model_of(model)
        if name != model and name in self.models():
            raise NotFoundError(
                f"There is no model {model!r}: here, {name!r} is its whole name.",
                "Leave out the rest, or give a version as the next word.",
            )
        raise NotFoundError(
            f"The model {model!r} has no version.",
            f"Known models: {', '.join(self.models()) or 'none'}.",
        )

    def find_training(self, model: str, training: str) -> Version | None:
        """The version of a training, if it was registered."""
        return next(iter(self.versions(model, VERSIONS.c.training == training)), None)

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
        return self.version(version.model, version.version)

    def bindings(self, model: str) -> list[Binding]:
        """All bindings of a model's versions, oldest first."""
        return self._database.records(Binding, BINDINGS, BINDINGS.c.model == model)

    def models(self) -> list[str]:
        """The names of all models that have a version."""
        query = sa.select(VERSIONS.c.model).distinct().order_by(VERSIONS.c.model)
        return [row["model"] for row in self._database.rows(query)]

    def add_evidence(self, evidence: Evidence) -> Evidence:
        """Add evidence, unless it equals the last evidence on the same subject.

        The subject is the version, the champion, the rows and the law.

        Raises:
            NotFoundError: there is no such version.
        """
        self.version(evidence.model, evidence.version)
        moment = {"id", "created"}
        own = self.evidence_of(evidence.model, evidence.version)
        known = [row for row in own if row.subject == evidence.subject]
        if known and as_json(known[-1], moment) == as_json(evidence, moment):
            return known[-1]
        return Evidence(**self._database.add(EVIDENCE, evidence))

    def evidence(self, number: int) -> Evidence | None:
        """The evidence with this id."""
        return self._database.last(Evidence, EVIDENCE, EVIDENCE.c.id == number)

    def evidence_of(self, model: str, version: int | None = None) -> list[Evidence]:
        """All evidence for a version, or for a model, oldest first."""
        own = EVIDENCE.c.model == model
        if version is not None:
            own &= EVIDENCE.c.version == version
        return self._database.records(Evidence, EVIDENCE, own)

    def find_evidence(
        self, model: str, version: int, champion: int | None, law: str | None = None
    ) -> Evidence | None:
        """The last evidence for a version against a champion, without experiments.

        Args:
            champion: the version it was compared with; None if there was no champion.
            law: the digest of that of the pipeline's file; None for any.
        """
        for row in reversed(self.evidence_of(model, version)):
            is_law = law in (None, row.law_digest)
            if is_law and row.champion_version == champion and not row.experiment:
                return row
        return None

    def require_evidence(
        self, model: str, version: int, champion: int | None, law: str | None = None
    ) -> Evidence:
        """`find_evidence`; raises PromotionError if there is none."""
        if evidence := self.find_evidence(model, version, champion, law):
            return evidence
        against = f"against the champion {champion}" if champion else "yet"
        raise PromotionError(
            f"There is no evidence for version {version} of {model} {against}.",
            f"Run `headrace run {model}`, or overrule with {forcing(model, version)}.",
        )

    def latest_evidence(self, model: str, version: int) -> Evidence | None:
        """The last evidence for a version, experiments included."""
        own = EVIDENCE.c.model == model, EVIDENCE.c.version == version
        return self._database.last(Evidence, EVIDENCE, *own)

    def newest_evidence(self, model: str) -> Evidence | None:
        """The last evidence for the newest version, without experiments."""
        table = EVIDENCE.c
        no_experiment = sa.cast(table.overrides, sa.String) == "[]"
        query = sa.select(EVIDENCE).where(table.model == model, no_experiment)
        newest = query.order_by(table.version.desc(), table.id.desc()).limit(1)
        rows = self._database.rows(newest)
        return Evidence(**rows[0]) if rows else None

    def _proof(self, entry: Entry) -> int | None:
        """The id of the evidence to promote on; raises PromotionError."""
        model, version, evidence_id = entry.model, entry.to_version, entry.evidence_id
        by_hand = forcing(model, version)
        evidence = None if evidence_id is None else self.evidence(evidence_id)
        about = (evidence.model, evidence.version) if evidence else None
        if evidence_id is not None and about != (model, version):
            raise PromotionError(
                f"Evidence {evidence_id} is not about version {version} of {model}.",
                f"Run `headrace run {model}` to evaluate this version.",
            )
        if entry.forced:
            own = self.evidence_of(model)
            evidence = evidence or standing_evidence(own, (), version)
            return evidence.id if evidence else None
        law = evidence.law_digest if evidence else None
        if evidence and evidence.experiment:
            raise PromotionError(
                f"Version {version} of {model} was evaluated in an experiment that "
                f"overrides {', '.join(evidence.overrides)}.",
                f"Run `headrace run {model}` without them, or overrule with {by_hand}.",
            )
        champion = entry.from_version
        if evidence and evidence.champion_version != champion:
            before = evidence.champion_version
            raise compared_with_another(model, version, before, champion)
        latest = self.require_evidence(model, version, champion, law)
        if not latest.passed:
            failed = ", ".join(gate.name for gate in latest.gates if not gate.passed)
            raise PromotionError(
                f"Version {version} of {model} did not pass its gates: "
                f"{failed or 'there were none'}.",
                f"Train a better model, or overrule with {by_hand}.",
            )
        return latest.id

    def attempts(self, model: str) -> list[Attempt]:
        """All evaluations of a model's versions that are evidence, oldest first."""
        names = Attempt.model_fields.keys() - {"training"}
        row, version = EVIDENCE.c, VERSIONS.c
        own = (version.model == row.model) & (version.version == row.version)
        query = (
            sa.select(*(row[name] for name in names), version.training)
            .join_from(EVIDENCE, VERSIONS, own)
            .where(row.model == model)
            .order_by(row.id)
        )
        return [Attempt(**found) for found in self._database.rows(query)]


def _as_bound(row: Mapping[str, Any], binding: Mapping[str, Any] | None) -> Version:
    """A version with the files of its last binding."""
    if binding is None:
        return Version(**row)
    files = {name: binding[name] for name in ("run_id", "model_uri", "model_digest")}
    details = {
        **row["details"],
        **binding["details"],
        "golden_digest": binding["golden_digest"],
        "binding": binding["step"],
    }
    return Version(**{**row, **files, "details": details})
