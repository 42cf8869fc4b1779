"""The half of the ledger that says what exists: versions and their evidence."""

from __future__ import annotations

import sqlalchemy as sa

from headrace.errors import NotFoundError, UsageError
from headrace.ledger.database import Database, plain
from headrace.ledger.leases import fence, is_unsettled
from headrace.ledger.rows import Evidence, Lease, Version
from headrace.ledger.tables import EVIDENCE, VERSIONS


class Versions:
    """Versions and evidence in one database."""

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 30.0,
        patience_seconds: float = 0.0,
        lease: Lease | None = None,
    ) -> None:
        guard = fence(lease) if lease else None
        self._database = Database(url, timeout_seconds, patience_seconds, guard)

    def is_unsettled(self, pipeline: str) -> bool:
        """Whether its last run was killed, and nothing has been put right since."""
        return is_unsettled(self._database, pipeline)

    def check_lease(self) -> None:
        """Raise DependencyError where another run has taken over the lease."""
        self._database.check()

    def add_version(self, version: Version) -> Version:
        """Add a version; the same training again gives the row that is there.

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
        versions = VERSIONS.c
        found = self._versions(versions.model == model, versions.version == version)
        if found:
            return found[0]
        known = ", ".join(str(row.version) for row in self.versions(model))
        raise NotFoundError(
            f"There is no version {version} of {model}.",
            f"Known versions: {known}."
            if known
            else f"Known models: {', '.join(self.models()) or 'none'}.",
        )

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, by number."""
        return self._versions(VERSIONS.c.model == model)

    def find_training(self, model: str, training: str) -> Version | None:
        """The version that holds a training, if it was registered."""
        versions = VERSIONS.c
        found = self._versions(versions.model == model, versions.training == training)
        return found[0] if found else None

    def models(self) -> list[str]:
        """The names of all models that have a version."""
        query = sa.select(VERSIONS.c.model).distinct().order_by(VERSIONS.c.model)
        return [row["model"] for row in self._database.rows(query)]

    def add_evidence(self, evidence: Evidence) -> Evidence:
        """Add evidence; what the latest says already is not said twice.

        Raises:
            NotFoundError: there is no such version.
        """
        self.version(evidence.model, evidence.version)
        latest = self.latest_evidence(evidence.model, evidence.version)
        moment = {"id", "created"}
        if latest and plain(latest, moment) == plain(evidence, moment):
            return latest
        return Evidence(**self._database.add(EVIDENCE, evidence))

    def latest_evidence(self, model: str, version: int) -> Evidence | None:
        """The last evidence for exactly this version."""
        query = (
            sa.select(EVIDENCE)
            .where(EVIDENCE.c.model == model, EVIDENCE.c.version == version)
            .order_by(EVIDENCE.c.id.desc())
            .limit(1)
        )
        rows = self._database.rows(query)
        return Evidence(**rows[0]) if rows else None

    def _versions(self, *conditions: sa.ColumnElement[bool]) -> list[Version]:
        query = sa.select(VERSIONS).where(*conditions).order_by(VERSIONS.c.version)
        return [Version(**row) for row in self._database.rows(query)]
