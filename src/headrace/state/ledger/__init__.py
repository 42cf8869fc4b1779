"""The ledger: versions, their evidence, approvals and promotions, all append-only.

The last entry of a model names its champion. Entries of a model are numbered, and
(model, sequence) is unique, so inserting the next number is a compare-and-set: of two
promotions decided on the same entry, one succeeds and the other raises PromotionError.
"""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from headrace.errors import NotFoundError, PromotionError, UsageError
from headrace.state.ledger.database import ledger_exists
from headrace.state.ledger.disposals import refuse_collected
from headrace.state.ledger.events import EVENTS
from headrace.state.ledger.former import rolled_back, standing_evidence
from headrace.state.ledger.journal import about
from headrace.state.ledger.leases import Lease
from headrace.state.ledger.mismatch import Mismatch
from headrace.state.ledger.rows import Champion, Entry, Evidence, Version
from headrace.state.ledger.steps import Approval, Steps

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

Decision = Entry | Approval


class Ledger(Steps):
    """All that the ledger in one database knows; see `Journal`."""

    def history(self, model: str, *, after: int = 0) -> list[Entry]:
        """Promotions and rollbacks after the entry numbered ``after``, oldest first."""
        return self._all(Entry, about(model), EVENTS.c.step > after)

    def timeline(self, model: str) -> list[Decision]:
        """Entries and approvals, in the order of their addition.

        The hash chain has the order. Timestamps do not, since a clock may be set back.
        """
        self.waiting(model)
        return self._read((Entry, Approval), about(model))

    def sequence(self, model: str) -> int:
        """The number of the last entry; 0 if there is none."""
        last = self._last_entry(model)
        return last.sequence if last else 0

    def champion(self, model: str) -> Champion | None:
        """The version in production, if any."""
        last = self._last_entry(model)
        if last is None:
            return None
        return Champion(version=self.version(model, last.to_version), entry=last)

    def champions(self) -> dict[str, int]:
        """The number of the champion of each model that has one."""
        own, last = EVENTS.c.kind == Entry.KIND, sa.func.max(EVENTS.c.step)
        newest = sa.select(EVENTS.c.model, last).where(own).group_by(EVENTS.c.model)
        number = EVENTS.c.body["to_version"].as_integer().label("number")
        is_last = sa.tuple_(EVENTS.c.model, EVENTS.c.step).in_(newest)
        rows = self._database.rows(
            sa.select(EVENTS.c.model, number).where(own, is_last)
        )
        return {row["model"]: row["number"] for row in rows}

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
            if models and model not in models:
                raise self._no_model(model)
            listed = f"Known models: {', '.join(models) or 'none'}."
            first = "Name MODEL, MODEL@champion or MODEL/VERSION, or run `headrace run "
            first += f"{model}` first. {listed}"
            raise NotFoundError(
                f"The model {model!r} has no {alias or 'champion'}.", first
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
    ) -> tuple[Entry, bool]:
        """Make a version the champion.

        Args:
            expected_sequence: the last entry when the decision was made.
            forced: promote without passing evidence, for the reason in ``why``.
            evidence_id: the evidence of the decision; by default the latest against
                the champion. Unless ``forced``, it must have passed, must not be of an
                experiment, and must be against the present champion.

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
        last = self._last_entry(model)
        if last is not None and last.to_version == version:
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

    def _last_entry(self, model: str) -> Entry | None:
        return self._last(Entry, about(model))

    def _append(self, entry: Entry) -> tuple[Entry, bool]:
        version = self.version(entry.model, entry.to_version)
        try:
            with self._adding() as rows:
                refuse_collected(rows, version)
                return rows.add(entry), True
        except sa.exc.IntegrityError:
            winner = self._last_entry(entry.model)
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


def check_reason(why: str) -> None:
    """Raise UsageError if there is no reason for a forced promotion."""
    if not why.strip():
        raise UsageError(
            "A forced promotion needs a reason.", "Give it with --reason TEXT."
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
