"""The ledger: versions, their evidence, approvals and promotions, all append-only.

The last entry of a model names its champion. Entries of a model are numbered, and
(model, sequence) is unique, so inserting the next number is a compare-and-set: of two
promotions decided on the same entry, one succeeds and the other raises PromotionError.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from headrace.errors import NotFoundError, PromotionError, UsageError, did_you_mean
from headrace.state.ledger.anchors import Anchors, Recorded
from headrace.state.ledger.chain import row_key
from headrace.state.ledger.collections import Collections, refuse_collected
from headrace.state.ledger.database import Condition, as_json, ledger_exists
from headrace.state.ledger.forgetting import Forgettings
from headrace.state.ledger.former import rolled_back, standing_evidence
from headrace.state.ledger.rows import (
    Approval,
    Binding,
    Champion,
    Entry,
    Evidence,
    Lease,
    Tampering,
    Version,
)
from headrace.state.ledger.tables import (
    APPROVALS,
    BINDINGS,
    CHAIN,
    ENTRIES,
    TAMPERINGS,
)
from headrace.state.ledger.tamperings import Mismatch, Tamperings
from headrace.state.ledger.versions import Versions

__all__ = [
    "Approval",
    "Champion",
    "Entry",
    "Evidence",
    "Lease",
    "Ledger",
    "Mismatch",
    "Tampering",
    "Version",
    "ledger_exists",
]

TIMEOUT = "timeout"  # recorded as the one who rejected an expired request
Decision = Entry | Approval | Binding | Tampering
_DECISIONS: dict[sa.Table, type[Decision]] = {
    ENTRIES: Entry,
    APPROVALS: Approval,
    BINDINGS: Binding,
    TAMPERINGS: Tampering,
}


class Ledger(Versions, Anchors, Recorded, Tamperings, Collections, Forgettings):
    """The ledger in one database; threads and processes may share it.

    Args:
        url: SQLAlchemy URL of a SQLite file or a PostgreSQL database.
        lease: of the run that writes, which waits while a server restarts; a person's
            commands have none.

    Raises:
        UsageError: the URL is not of such a database, or the database is not a
            ledger of this version.
        DependencyError: the database is locked, full, read-only or unreachable,
            or another run has taken over the lease. Every method raises it.
    """

    def history(self, model: str, *, after: int = 0) -> list[Entry]:
        """Promotions and rollbacks after the entry numbered ``after``, oldest first."""
        conditions = ENTRIES.c.model == model, ENTRIES.c.sequence > after
        return self._database.records(Entry, ENTRIES, *conditions)

    def timeline(self, model: str) -> list[Decision]:
        """Entries, approvals, bindings and tamperings, in the order of their addition.

        Those of the ledger as a whole are part of every model's.

        The hash chain has the order. Timestamps do not, since a clock may be set back.
        """
        self.waiting(model)
        decisions: list[tuple[int, Decision]] = []
        for table, kind in _DECISIONS.items():
            own = table.c.model.in_([model, ""])
            rows = self._database.rows(sa.select(table).where(own))
            links = sa.select(CHAIN).where(CHAIN.c.table == table.name)
            numbers = {n["row"]: n["number"] for n in self._database.rows(links)}
            for row in rows:
                values = {name: row[name] for name in kind.model_fields}
                decisions.append((numbers.get(row_key(table, row), 0), kind(**values)))
        return [decision for _, decision in sorted(decisions, key=lambda pair: pair[0])]

    def sequence(self, model: str) -> int:
        """The number of the last entry; 0 if there is none."""
        last = self._last(model)
        return last.sequence if last else 0

    def champion(self, model: str) -> Champion | None:
        """The version in production, if any."""
        last = self._last(model)
        if last is None:
            return None
        return Champion(version=self.version(model, last.to_version), entry=last)

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
        if slash and model in self.models():
            raise NotFoundError(
                f"{number!r} is no version of {model}: a version is a number.",
                f"Name for example {model}/{self.newest_version(model).version}.",
            )
        model, at, alias = name.partition("@")
        champion = self.champion(model)
        if champion is None or (at and alias != "champion"):
            models = self.models()
            known = f"Known models: {', '.join(models) or 'none'}."
            first = "Name MODEL, MODEL@champion or MODEL/VERSION, or run `headrace run "
            first += f"{model}` first. {known}"
            raise NotFoundError(
                f"The model {model!r} has no {alias or 'champion'}.",
                did_you_mean(model, models, known)
                if models and model not in models
                else first,
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
        again: bool = False,
    ) -> tuple[Entry, bool]:
        """Make a version the champion.

        Args:
            expected_sequence: the last entry when the decision was made.
            forced: promote without passing evidence, for the reason in ``why``.
            evidence_id: the evidence of the decision; by default the latest against
                the champion. Unless ``forced``, it must have passed, must not be of an
                experiment, and must be against the present champion.
            again: add an entry though it is the champion already.

        Returns:
            The new entry, or the last one if the version is champion already, perhaps
            by somebody who was faster; and whether it is the new one.

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
        if last is not None and last.to_version == version and not again:
            return last, False
        if expected_sequence != (last.sequence if last else 0):
            raise self._conflict("promote", model, expected_sequence)
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
        proof = {"evidence_id": self._proof(entry)}
        return self._append(entry.model_copy(update=proof))

    def rollback(
        self, model: str, *, who: str, why: str, expected_sequence: int
    ) -> Entry:
        """Return to the version that was champion before this one was promoted.

        Raises:
            PromotionError: there is no earlier champion, or another entry came first.
        """
        entries = self.history(model)
        if expected_sequence != len(entries):
            raise self._conflict("rollback", model, expected_sequence)
        target = _previous_champion(model, entries)
        entry = Entry(
            model=model,
            sequence=expected_sequence + 1,
            action="rollback",
            from_version=entries[-1].to_version,
            to_version=target,
            who=who,
            why=why,
        )
        return self._append(entry)[0]

    def rollback_target(self, model: str) -> Version:
        """The version that a rollback would return to; raises PromotionError."""
        return self.version(model, _previous_champion(model, self.history(model)))

    def standing_evidence(self, model: str, version: int) -> Evidence | None:
        """The evidence that a version was last promoted on; else its last."""
        own = self.evidence_of(model, version)
        return standing_evidence(own, self.history(model), version)

    def was_rolled_back(self, model: str, version: int) -> Entry | None:
        """The rollback of a version, if it was not promoted again afterwards.

        Only a person can promote such a version.
        """
        return rolled_back(self.history(model)).get(version)

    def approvals(self, model: str) -> list[Approval]:
        """All requests and answers, oldest first."""
        self.waiting(model)
        return self._approvals(model)

    def approval(self, model: str, version: int) -> Approval | None:
        """The last request or answer for a version; None if there is none.

        The first call after a request has expired records its rejection.
        """
        last = self._step(model, version)
        return self._expire(last) if last else None

    def request(self, model: str, version: int) -> Approval | None:
        """The last request for a version, answered or not."""
        return self._step(model, version, APPROVALS.c.action == "request")

    def waiting(self, model: str) -> list[Approval]:
        """The requests that nobody has answered yet, oldest first."""
        last: dict[int, Approval] = {}
        for step in self._approvals(model):
            last.pop(step.version, None)  # sorts the versions by their last step
            last[step.version] = step
        steps = map(self._expire, last.values())
        return [step for step in steps if step.action == "request"]

    def add_approval(self, approval: Approval) -> Approval:
        """Add the next request or answer for a version.

        Raises:
            PromotionError: another request or answer came first.
        """
        try:
            self._database.add(APPROVALS, approval)
        except sa.exc.IntegrityError:
            model, version = approval.model, approval.version
            raise PromotionError(
                f"Version {version} of {model} was {self.approval(model, version)} "
                "just before.",
                f"Look at `headrace history {model}` and decide again.",
            ) from None
        return approval

    def _last(self, model: str) -> Entry | None:
        return self._database.last(Entry, ENTRIES, ENTRIES.c.model == model)

    def _expire(self, last: Approval) -> Approval:
        """The rejection of an expired request; any other step as it is."""
        if not last.is_overdue:
            return last
        why = f"nobody answered until {last.expires}"
        timeout = last.answer(
            "reject", who=TIMEOUT, why=why, evidence_id=last.evidence_id
        )
        if not self._database.takes_rows:
            return timeout
        try:
            return self.add_approval(timeout)
        except PromotionError:  # another process has expired or answered it just now
            return self._step(last.model, last.version) or timeout

    def _approvals(self, model: str) -> list[Approval]:
        return self._database.records(Approval, APPROVALS, APPROVALS.c.model == model)

    def _step(self, model: str, version: int, *where: Condition) -> Approval | None:
        own = APPROVALS.c.model == model, APPROVALS.c.version == version
        return self._database.last(Approval, APPROVALS, *own, *where)

    def _append(self, entry: Entry) -> tuple[Entry, bool]:
        version = self.version(entry.model, entry.to_version)
        try:
            with self._database.adding() as rows:
                refuse_collected(rows, version)
                return Entry(**rows.add(ENTRIES, as_json(entry))), True
        except sa.exc.IntegrityError:
            winner = self._last(entry.model)
        is_promotion = entry.action == "promote"
        if winner and is_promotion and winner.to_version == entry.to_version:
            return winner, False
        raise self._conflict(entry.action, entry.model, entry.sequence - 1)

    def _conflict(self, action: str, model: str, expected: int) -> PromotionError:
        later = "; ".join(map(str, self.history(model, after=expected)))
        name = "promotion" if action == "promote" else action
        return PromotionError(
            f"The {name} of {model} was rejected: it was decided on entry "
            f"{expected}, but "
            f"{later or f'the last entry is {self.sequence(model)}'}.",
            f"Look at `headrace history {model}` and decide again.",
        )


def _previous_champion(model: str, entries: Sequence[Entry]) -> int:
    """The champion before the present one was promoted; raises PromotionError."""
    champions: list[int] = []
    for entry in entries:
        if entry.action != "promote":
            champions.pop()
        elif champions[-1:] != [entry.to_version]:  # else it is promoted again
            champions.append(entry.to_version)
    if champions[1:]:
        return champions[-2]
    last = f"no champion before {champions[0]}" if champions else "no champion"
    raise PromotionError(
        f"There is nothing to roll back to: {model} has had {last}.",
        f"See `headrace history {model}`.",
    )
