"""Versions and their evidence."""

from __future__ import annotations

import sqlalchemy as sa

from headrace.errors import NotFoundError, PromotionError, UsageError, did_you_mean
from headrace.state.ledger.database import Condition
from headrace.state.ledger.disposals import Disposals
from headrace.state.ledger.events import EVENTS, as_json
from headrace.state.ledger.former import Attempt, standing_evidence
from headrace.state.ledger.journal import about
from headrace.state.ledger.leases import LEASES, Lease, now_of
from headrace.state.ledger.rows import Entry, Evidence, Version, model_of

_VERSIONS = EVENTS.alias()


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


class Versions(Disposals):
    """Versions and evidence in one database."""

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

    def add_version(self, version: Version) -> Version:
        """Add a version; idempotent for the same file of a training.

        Raises:
            UsageError: the number belongs to another training.
        """
        try:
            return self._add(version)
        except sa.exc.IntegrityError:
            recorded = self.find_training(version.model, version.training)
        if recorded is None:
            raise UsageError(
                f"The ledger {self._database.name} has another training as version "
                f"{version.version} of {version.model}.",
                "Set HEADRACE_DATABASE_URL to the ledger of this model registry.",
            )
        return recorded

    def version(self, model: str, version: int) -> Version:
        """One version; raises NotFoundError, naming those that are known."""
        if rows := self._versions(about(model, version)):
            return rows[0]
        listed = ", ".join(str(row.version) for row in self.versions(model))
        models = self.models()
        named = f"Known models: {', '.join(models) or 'none'}."
        raise NotFoundError(
            f"There is no version {version} of {model}.",
            f"Known versions: {listed}."
            if listed
            else did_you_mean(model, models, named),
        )

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, by number."""
        return self._versions(about(model))

    def _versions(self, own: Condition) -> list[Version]:
        return sorted(self._all(Version, own), key=lambda version: version.version)

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
        raise self._no_model(model)

    def _no_model(self, model: str) -> NotFoundError:
        models = self.models()
        listed = f"Known models: {', '.join(models) or 'none'}."
        return NotFoundError(
            f"There is no model {model!r}.", did_you_mean(model, models, listed)
        )

    def find_training(self, model: str, training: str) -> Version | None:
        """The newest version of a training, if it was registered."""
        same = EVENTS.c.body["training"].as_string() == training
        return next(reversed(self._versions(about(model) & same)), None)

    def models(self) -> list[str]:
        """The names of all models that have a version."""
        query = sa.select(EVENTS.c.model).where(EVENTS.c.kind == Version.KIND)
        query = query.distinct().order_by(EVENTS.c.model)
        return [row["model"] for row in self._database.rows(query)]

    def add_evidence(self, evidence: Evidence) -> Evidence:
        """Add evidence, unless it equals the last evidence on the same subject.

        The subject is the version, the champion, the rows and the law.

        Raises:
            NotFoundError: there is no such version.
        """
        self.version(evidence.model, evidence.version)
        own = self.evidence_of(evidence.model, evidence.version)
        earlier = [row for row in own if row.subject == evidence.subject]
        moment = {"id": None, "created": ""}
        if earlier and as_json(earlier[-1]) | moment == as_json(evidence) | moment:
            return earlier[-1]
        return self._add(evidence)

    def evidence(self, model: str, number: int | None) -> Evidence | None:
        """The evidence of a model with this id; None if there is none."""
        return self._last(Evidence, about(model), EVENTS.c.step == (number or 0))

    def evidence_of(self, model: str, version: int | None = None) -> list[Evidence]:
        """All evidence for a version, or for a model, oldest first."""
        own = [] if version is None else [is_of(model, version)]
        return self._all(Evidence, about(model), *own)

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
        return self._last(Evidence, about(model), is_of(model, version))

    def newest_evidence(self, model: str) -> Evidence | None:
        """The last evidence for the version that came last, without experiments."""
        number = EVENTS.c.number
        query = sa.select(number).where(EVENTS.c.kind == Evidence.KIND, about(model))
        query = query.order_by(EVENTS.c.rests_on.desc(), number.desc())
        for row in self._database.rows(query):
            evidence = self._last(Evidence, number == row["number"])
            if evidence is not None and not evidence.experiment:
                return evidence
        return None

    def _proof(self, entry: Entry) -> int | None:
        """The id of the evidence to promote on; raises PromotionError."""
        model, version, evidence_id = entry.model, entry.to_version, entry.evidence_id
        by_hand = forcing(model, version)
        evidence = self.evidence(model, evidence_id)
        if evidence_id is not None and (not evidence or evidence.version != version):
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
        names = Attempt.model_fields.keys() - {"id", "training"}
        query = sa.select(
            EVENTS.c.step.label("id"),
            _VERSIONS.c.body["training"].as_string().label("training"),
            *(EVENTS.c.body[name].label(name) for name in names),
        )
        query = query.join(_VERSIONS, _VERSIONS.c.number == EVENTS.c.rests_on)
        query = query.where(EVENTS.c.kind == Evidence.KIND, about(model))
        rows = self._database.rows(query.order_by(EVENTS.c.step))
        return [Attempt(**row) for row in rows]


def _is_version(model: str) -> Condition:
    return (_VERSIONS.c.kind == Version.KIND) & (_VERSIONS.c.model == model)


def is_of(model: str, version: int) -> Condition:
    """That a row rests on a version."""
    own = _is_version(model), _VERSIONS.c.subject == str(version)
    number = sa.select(_VERSIONS.c.number).where(*own)
    return EVENTS.c.rests_on == number.scalar_subquery()
