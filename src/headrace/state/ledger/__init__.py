"""The ledger: versions, their evidence, approvals and decisions, all append-only.

The last decision of a model names its champion. The rows of one kind are numbered in
their model, and (kind, model, sequence) is unique, so inserting the next number is a
compare-and-set: of two promotions decided on the same entry, one succeeds and the other
raises PromotionError.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

import sqlalchemy as sa

from headrace.errors import PromotionError, UsageError
from headrace.state.ledger import rules
from headrace.state.ledger.chain import (
    ChainReport,
    append,
    last_of,
    last_sequence,
    walk,
)
from headrace.state.ledger.database import Condition, Database, ledger_exists
from headrace.state.ledger.facts import Facts
from headrace.state.ledger.leases import PATIENCE_SECONDS, Lease, fence, killed_since
from headrace.state.ledger.mismatch import Mismatch
from headrace.state.ledger.records import (
    Approval,
    Champion,
    Entry,
    Evidence,
    Row,
    Version,
)
from headrace.state.ledger.rules import check_reason
from headrace.state.ledger.schema import CHAIN, MOST

__all__ = [
    "Approval",
    "Champion",
    "Entry",
    "Evidence",
    "Lease",
    "Ledger",
    "Mismatch",
    "Version",
    "check_reason",
    "ledger_exists",
]

TIMEOUT_SECONDS = 30.0  # for a lock or a connection

R = TypeVar("R", bound=Row)


class Ledger:
    """All that the ledger in one database knows; threads and processes may share it.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        lease: of the run that writes, which waits while a server restarts; a person's
            commands have none.

    Attributes:
        database: for further queries.
        facts: what is true now, by name, and what was deleted.

    Raises:
        UsageError: the URL is not of such a database, or the database is not a
            ledger of this version.
        DependencyError: the database is locked, full, read-only or unreachable,
            or another run has taken over the lease. Every method raises it.
    """

    def __init__(self, url: str, lease: Lease | None = None) -> None:
        patience = PATIENCE_SECONDS if lease else 0.0
        guard = fence(lease) if lease else None
        self.database = Database(url, TIMEOUT_SECONDS, patience, guard)
        self.facts = Facts(self.database)

    def check_lease(self) -> None:
        """Raise DependencyError if another run has taken over the lease."""
        with self.database.adding():
            pass

    def unsettled_since(self, pipeline: str) -> float | None:
        """When the oldest run began that was killed and not recovered yet.

        Returns:
            seconds since 1970 by the database's clock; None without such a run.
        """
        with self.database.reading() as connection:
            return killed_since(connection, pipeline)

    # The chain

    def walk_chain(self, wanted: Collection[str] = ()) -> ChainReport:
        """Check every row against the chain; see `chain.walk`."""
        with self.database.reading() as connection:
            return walk(connection, wanted)

    def head(self) -> str:
        """The last link of the chain; empty if there is no row."""
        with self.database.reading() as connection:
            return last_of(connection)[1]

    def rows(
        self,
        kinds: Sequence[type[R]],
        model: str,
        *where: Condition,
        last: bool = False,
    ) -> list[R]:
        """The rows of some kinds in a model, in the order in which they were added.

        Args:
            kinds: as which they are read.
            model: its name.
            where: further conditions.
            last: whether only the last one is read.

        Raises:
            IntegrityError: a row has another form.
        """
        by_name, number = {kind.KIND: kind for kind in kinds}, CHAIN.c.number
        own = CHAIN.c.kind.in_(by_name), CHAIN.c.model == model
        query = sa.select(CHAIN.c.kind, CHAIN.c.body).where(*own, *where)
        query = query.order_by(number.desc() if last else number)
        rows = self.database.rows(query.limit(1) if last else query)
        try:
            return [by_name[row["kind"]](**row["body"]) for row in rows]
        except (TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise self.database.damaged(f"a row has another form: {reason}") from error

    def _all(self, kind: type[R], model: str, *where: Condition) -> list[R]:
        return self.rows([kind], model, *where)

    def _last(self, kind: type[R], model: str, *where: Condition) -> R | None:
        return next(iter(self.rows([kind], model, *where, last=True)), None)

    # Versions

    def models(self) -> list[str]:
        """The names of all models that have a version."""
        query = sa.select(CHAIN.c.model).where(CHAIN.c.kind == Version.KIND)
        query = query.distinct().order_by(CHAIN.c.model)
        return [row["model"] for row in self.database.rows(query)]

    def versions(self, model: str) -> list[Version]:
        """All versions of a model, by number."""
        own = self._all(Version, model)
        return sorted(own, key=lambda version: version.version)

    def version(self, model: str, version: int) -> Version:
        """One version; raises NotFoundError, naming those that are known."""
        if version <= MOST:
            if found := self._last(Version, model, CHAIN.c.sequence == version):
                return found
        known = [row.version for row in self.versions(model)]
        what = f"version {version} of {model}"
        raise rules.not_found(what, model, self.models(), known)

    def newest_version(self, model: str) -> Version:
        """The version with the highest number; raises NotFoundError."""
        if versions := self.versions(model):
            return versions[-1]
        raise rules.not_found(f"model {model!r}", model, self.models())

    def find_training(self, model: str, training: str) -> Version | None:
        """The newest version of a training, if it was registered."""
        same = CHAIN.c.body["training"].as_string() == training
        return self._last(Version, model, same)

    def find(self, name: str) -> Version:
        """The version with a name.

        Args:
            name: ``MODEL`` or ``MODEL@champion`` for its champion, or
                ``MODEL/VERSION``.

        Raises:
            NotFoundError: there is no such version.
        """
        model, slash, number = name.partition("/")
        if slash and number.isdecimal():
            return self.version(model, int(number))
        if slash and (known := [row.version for row in self.versions(model)]):
            raise rules.not_found(f"version {number!r} of {model}", model, (), known)
        model, at, alias = name.partition("@")
        champion = self.champion(model)
        if champion is None or (at and alias != "champion"):
            raise rules.no_champion(model, alias, self.models())
        return champion.version

    def add_version(self, version: Version) -> Version:
        """Add a version; idempotent for the same file of a training.

        Raises:
            UsageError: the number belongs to another training.
        """
        training = CHAIN.c.body["training"].as_string() == version.training
        is_like = training | (CHAIN.c.sequence == version.version)
        with self.database.adding() as connection:
            for row in self._all(Version, version.model, is_like):
                same = row.training == version.training
                if same and row.model_digest == version.model_digest:
                    return row
                if row.version == version.version:
                    raise UsageError(
                        f"The ledger {self.database.name} has another training as "
                        f"version {version.version} of {version.model}.",
                        "Set HEADRACE_DATABASE_URL to the ledger of this model "
                        "registry.",
                    )
            append(connection, version, version.version, version.version)
        return version

    # Evidence

    def add_evidence(self, evidence: Evidence) -> Evidence:
        """Add evidence, unless it equals the last evidence for its version.

        Raises:
            NotFoundError: there is no such version.
        """
        model, version = evidence.model, evidence.version
        self.version(model, version)
        with self.database.adding() as connection:
            last = self.latest_evidence(model, version)
            if last and last.equals(evidence):
                return last
            number = last_sequence(connection, Evidence, model) + 1
            evidence = evidence.model_copy(update={"id": number})
            append(connection, evidence, number, version)
            return self.evidence(model, number) or evidence

    def evidence(self, model: str, number: int | None) -> Evidence | None:
        """The evidence of a model with this id; None if there is none."""
        return self._last(Evidence, model, CHAIN.c.sequence == (number or 0))

    def evidence_of(self, model: str, version: int | None = None) -> list[Evidence]:
        """All evidence for a version, or for a model, oldest first."""
        own = [] if version is None else [CHAIN.c.version == version]
        return self._all(Evidence, model, *own)

    def latest_evidence(self, model: str, version: int) -> Evidence | None:
        """The last evidence for a version, experiments included."""
        return self._last(Evidence, model, CHAIN.c.version == version)

    def newest_evidence(self, model: str) -> Evidence | None:
        """The last evidence for the newest version that has any, without experiments.

        The numbers are read first: evidence is large.
        """
        own = CHAIN.c.kind == Evidence.KIND, CHAIN.c.model == model
        newest = CHAIN.c.version.desc(), CHAIN.c.sequence.desc()
        query = sa.select(CHAIN.c.sequence).where(*own).order_by(*newest)
        found = (self.evidence(model, n["sequence"]) for n in self.database.rows(query))
        return next((row for row in found if row and not row.experiment), None)

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
        raise rules.no_evidence(model, version, champion)

    def standing_evidence(self, model: str, version: int) -> Evidence | None:
        """The evidence that a version was last promoted on; else its last."""
        own = self.evidence_of(model, version)
        entries = self._all(Entry, model, CHAIN.c.version == version)
        return rules.standing_evidence(own, entries, version)

    # Decisions

    def history(self, model: str, *, after: int = 0) -> list[Entry]:
        """Promotions and rollbacks after the entry numbered ``after``, oldest first."""
        return self._all(Entry, model, CHAIN.c.sequence > after)

    def timeline(self, model: str) -> list[Entry | Approval]:
        """Entries and approvals, in the order of their addition.

        The chain has the order. Timestamps do not, since a clock may be set back. A
        request that nobody answered in time is followed by its rejection.
        """
        kinds: list[type[Entry | Approval]] = [Entry, Approval]
        return [*rules.with_timeouts(self.rows(kinds, model))]

    def sequence(self, model: str) -> int:
        """The number of the last entry; 0 if there is none."""
        with self.database.reading() as connection:
            return last_sequence(connection, Entry, model)

    def champion(self, model: str) -> Champion | None:
        """The version in production, if any."""
        last = self._last(Entry, model)
        if last is None:
            return None
        return Champion(version=self.version(model, last.to_version), entry=last)

    def was_rolled_back(self, model: str, version: int) -> Entry | None:
        """The rollback of a version, if it was not promoted again afterwards.

        Only a person can promote such a version.
        """
        return rules.rolled_back(self.history(model)).get(version)

    def rollback_target(self, model: str) -> Version:
        """The version that a rollback would return to; raises PromotionError."""
        target = rules.previous_champion(model, self.history(model))
        return self.version(model, target)

    def promote(  # noqa: PLR0913
        self,
        model: str,
        version: int,
        *,
        who: str,
        why: str,
        expected_sequence: int,
        forced: bool = False,
        evidence_id: int | None = None,
    ) -> tuple[Entry, bool]:
        """Make a version the champion.

        Args:
            expected_sequence: the last entry when the decision was made.
            forced: promote without passing evidence, for the reason in ``why``.
            evidence_id: the evidence of the decision. The latest that is under its law,
                against the present champion and of no experiment must have passed,
                unless ``forced``. By default any law counts.

        Returns:
            The new entry, or the last one if the version is champion already, perhaps
            by somebody who was faster; and whether it is the new one.

        Raises:
            NotFoundError: there is no such version.
            PromotionError: no passing evidence, or another entry came first.
            UsageError: forced without a reason.
        """
        if forced:
            check_reason(why)
        self.version(model, version)
        with self.database.adding() as connection:
            last = self._last(Entry, model)
            if last is not None and last.to_version == version:
                return last, False
            if (last.sequence if last else 0) != expected_sequence:
                entries = self.history(model)
                raise rules.conflict("promote", model, expected_sequence, entries)
            entry = Entry(
                model=model,
                sequence=expected_sequence + 1,
                action="promote",
                from_version=last.to_version if last else None,
                to_version=version,
                who=who,
                why=why,
                forced=forced,
                evidence_id=evidence_id,
            )
            self._require_files(model, version)
            entry = entry.model_copy(update={"evidence_id": self._proof(entry)})
            append(connection, entry, entry.sequence, version)
        return entry, True

    def rollback(
        self, model: str, *, who: str, why: str, expected_sequence: int
    ) -> Entry:
        """Return to the version that was champion before this one was promoted.

        Raises:
            PromotionError: there is no earlier champion, or another entry came first.
        """
        with self.database.adding() as connection:
            entries = self.history(model)
            if len(entries) != expected_sequence:
                raise rules.conflict("rollback", model, expected_sequence, entries)
            entry = Entry(
                model=model,
                sequence=expected_sequence + 1,
                action="rollback",
                from_version=entries[-1].to_version if entries else None,
                to_version=rules.previous_champion(model, entries),
                who=who,
                why=why,
            )
            self._require_files(model, entry.to_version)
            append(connection, entry, entry.sequence, entry.to_version)
        return entry

    def _require_files(self, model: str, version: int) -> None:
        """Raise PromotionError if files of a version were collected."""
        self.facts.require_files(self.version(model, version), PromotionError)

    def _proof(self, entry: Entry) -> int | None:
        """The id of the evidence to promote on; raises PromotionError."""
        model, version = entry.model, entry.to_version
        named = self.evidence(model, entry.evidence_id)
        if entry.forced:
            own = self.evidence_of(model, version)
            evidence = rules.standing_evidence(own, (), version)
            return evidence.id if evidence else None
        law = named.law_digest if named else None
        latest = self.require_evidence(model, version, entry.from_version, law)
        rules.check_passed(latest)
        return latest.id

    # Approvals

    def approvals(self, model: str) -> list[Approval]:
        """All requests and answers, oldest first."""
        return [*rules.with_timeouts(self._all(Approval, model))]

    def approval(self, model: str, version: int) -> Approval | None:
        """The last request or answer for a version; None if there is none."""
        own = self._all(Approval, model, CHAIN.c.version == version)
        return next(reversed([*rules.with_timeouts(own)]), None)

    def request(self, model: str, version: int) -> Approval | None:
        """The last request for a version, answered or not."""
        is_request = CHAIN.c.body["action"].as_string() == "request"
        return self._last(Approval, model, CHAIN.c.version == version, is_request)

    def waiting(self, model: str) -> list[Approval]:
        """The requests that nobody has answered yet, oldest first."""
        steps = self.approvals(model)
        last = {step.version: step for step in steps}
        return [s for s in steps if s.action == "request" and last[s.version] is s]

    def add_approval(self, approval: Approval) -> Approval:
        """Add the next request or answer for a version.

        Raises:
            NotFoundError: there is no such version.
            PromotionError: another request or answer came first.
        """
        model, version = approval.model, approval.version
        self.version(model, version)
        with self.database.adding() as connection:
            last = self.approval(model, version)
            if approval.step != (last.step if last else 0) + 1:
                raise PromotionError(
                    f"Version {version} of {model} was {last} just before.",
                    f"Look at `headrace history {model}` and decide again.",
                )
            number = last_sequence(connection, Approval, model) + 1
            append(connection, approval, number, version)
        return approval
