"""Versions, the evidence for them, and who promoted what: our own append-only table.

Knows rows and their order, not where models are kept or how they are evaluated.
The champion is what the last entry says. An entry has the next number of its model,
and (model, sequence) is unique: inserting it is the compare-and-set, so that of two
promotions decided on the same entry one wins and the other hears of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from headrace.errors import NotFoundError, PromotionError, UsageError
from headrace.state.ledger.anchors import Anchors
from headrace.state.ledger.approvals import Approvals
from headrace.state.ledger.bindings import Binding
from headrace.state.ledger.chain import ChainReport
from headrace.state.ledger.database import is_there
from headrace.state.ledger.former import (
    Attempt,
    BestFormer,
    earlier_attempts,
    find_best_former,
    standing_evidence,
)
from headrace.state.ledger.leases import Leases
from headrace.state.ledger.rows import (
    Adoption,
    Approval,
    Champion,
    Entry,
    Evidence,
    Lease,
    Version,
)
from headrace.state.ledger.tables import ENTRIES
from headrace.state.ledger.timeline import Decision, timeline

__all__ = [
    "Adoption",
    "Approval",
    "Attempt",
    "BestFormer",
    "Binding",
    "ChainReport",
    "Champion",
    "Entry",
    "Evidence",
    "Lease",
    "Leases",
    "Ledger",
    "Version",
    "earlier_attempts",
    "find_best_former",
    "is_there",
    "standing_evidence",
]


class Ledger(Approvals, Anchors):
    """The ledger in one database; threads and processes may share it.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        timeout_seconds: how long to wait for a lock or a connection.
        patience_seconds: how long to try again where a server does not answer.
        lease: of the run that writes; without it any may, which is for people.

    Raises:
        UsageError: the URL is not one of these, or the database is not a ledger
            of this version.
        DependencyError: the database is locked, full, read-only or unreachable,
            or another run has taken over the lease. Every method raises it.
    """

    def history(self, model: str, *, after: int = 0) -> list[Entry]:
        """Promotions and rollbacks past the entry numbered ``after``, oldest first."""
        conditions = ENTRIES.c.model == model, ENTRIES.c.sequence > after
        return self._database.records(Entry, ENTRIES, *conditions)

    def timeline(self, model: str) -> list[Decision]:
        """What was decided and asked, in the order of the ledger, not of the clock."""
        self.waiting(model)
        return timeline(self._database, model)

    def sequence(self, model: str) -> int:
        """The number of the last entry; 0 when there is none."""
        last = self._last(model)
        return last.sequence if last else 0

    def champion(self, model: str) -> Champion | None:
        """The version in production, if any."""
        last = self._last(model)
        if last is None:
            return None
        return Champion(version=self.version(model, last.to_version), entry=last)

    def find(self, name: str) -> Version:
        """The version that a person names.

        Args:
            name: ``MODEL``, which is its champion; ``MODEL@champion``; or
                ``MODEL/VERSION``.

        Raises:
            NotFoundError: there is no such version.
        """
        model, slash, number = name.partition("/")
        if slash and number.isdecimal():
            return self.version(model, int(number))
        model, at, alias = name.partition("@")
        champion = self.champion(model)
        if champion is None or (at and alias != "champion"):
            known = ", ".join(self.models()) or "none"
            raise NotFoundError(
                f"The model {model!r} has no {alias or 'champion'}.",
                "Name MODEL, MODEL@champion or MODEL/VERSION, or run `headrace run "
                f"{model}` first. Known models: {known}.",
            )
        return champion.version

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
    ) -> Entry:
        """Make a version the champion.

        Args:
            expected_sequence: the last entry that the decision was made on.
            forced: do without passing evidence, for the reason in ``why``.
            evidence_id: the evidence decided on; by default the latest against the
                champion. Without ``forced`` it must pass, be no experiment's, and be
                against the champion that the ledger has now.

        Returns:
            The new entry, or the last one where the version is champion already.

        Raises:
            NotFoundError: there is no such version.
            PromotionError: no passing evidence, or another entry came first.
            UsageError: forced without a reason.
        """
        if forced and not why.strip():
            raise UsageError(
                "A forced promotion needs a reason.", "Give it with --reason TEXT."
            )
        self.version(model, version)
        last = self._last(model)
        if last is not None and last.to_version == version:
            return last
        if expected_sequence != (last.sequence if last else 0):
            raise self._lost("promote", model, expected_sequence)
        entry = Entry(
            model=model,
            sequence=expected_sequence + 1,
            action="promote",
            from_version=last.to_version if last else None,
            to_version=version,
            who=who,
            why=why,
            forced=forced,
            evidence_id=self._proof(
                model, version, evidence_id, forced, last.to_version if last else None
            ),
        )
        return self._append(entry, last)

    def rollback(
        self, model: str, *, who: str, why: str, expected_sequence: int
    ) -> Entry:
        """Return to the version that was champion before this one was promoted.

        Raises:
            PromotionError: there is no earlier champion, or another entry came first.
        """
        entries = self.history(model)
        if expected_sequence != len(entries):
            raise self._lost("rollback", model, expected_sequence)
        target = _previous(model, entries)
        entry = Entry(
            model=model,
            sequence=expected_sequence + 1,
            action="rollback",
            from_version=entries[-1].to_version,
            to_version=target,
            who=who,
            why=why,
        )
        return self._append(entry, entries[-1])

    def rollback_target(self, model: str) -> Version:
        """The version that a rollback would return to; raises PromotionError."""
        return self.version(model, _previous(model, self.history(model)))

    def standing_evidence(self, model: str, version: int) -> Evidence | None:
        """The evidence that a version was last promoted on; else its last."""
        own = self.evidence_of(model, version)
        return standing_evidence(own, self.history(model), version)

    def was_rolled_back(self, model: str, version: int) -> Entry | None:
        """The rollback that took a version out, if it was not promoted since.

        Such a version is promoted by hand or not at all.
        """
        for entry in reversed(self.history(model)):
            if entry.action == "promote" and entry.to_version == version:
                return None
            if entry.action == "rollback" and entry.from_version == version:
                return entry
        return None

    def _last(self, model: str) -> Entry | None:
        query = (
            sa.select(ENTRIES)
            .where(ENTRIES.c.model == model)
            .order_by(ENTRIES.c.sequence.desc())
            .limit(1)
        )
        rows = self._database.rows(query)
        return Entry(**rows[0]) if rows else None

    def _append(self, entry: Entry, last: Entry | None) -> Entry:
        if entry.sequence != (last.sequence if last else 0) + 1:
            raise self._lost(entry.action, entry.model, entry.sequence - 1)
        try:
            return Entry(**self._database.add(ENTRIES, entry))
        except sa.exc.IntegrityError:
            winner = self._last(entry.model)
        if winner and entry.action == "promote":
            if winner.to_version == entry.to_version:
                return winner
        raise self._lost(entry.action, entry.model, entry.sequence - 1)

    def _lost(self, action: str, model: str, expected_sequence: int) -> PromotionError:
        between = "; ".join(map(str, self.history(model, after=expected_sequence)))
        return PromotionError(
            f"This {action} of {model} lost: it was decided on entry "
            f"{expected_sequence}, but "
            f"{between or f'the last entry is {self.sequence(model)}'}.",
            f"Look at `headrace history {model}` and decide again.",
        )


def _previous(model: str, entries: Sequence[Entry]) -> int:
    """The champion before the present one was promoted; raises PromotionError."""
    champions: list[int] = []
    for entry in entries:
        if entry.action == "promote":
            champions.append(entry.to_version)
        else:
            champions.pop()
    if champions[1:]:
        return champions[-2]
    last = f"no champion before {champions[0]}" if champions else "no champion"
    raise PromotionError(
        f"There is nothing to roll back to: {model} has had {last}.",
        f"See `headrace history {model}`.",
    )
