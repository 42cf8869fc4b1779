"""Earlier evaluations and the best former champion, from the ledger's history.

A challenger is compared with the champion and with the best former champion. Otherwise
a series of challengers, each slightly worse than the previous one, could lower accuracy
without limit. The best former champion is the first champion, until a later one is
significantly better; one that is merely not worse does not replace it. So only one more
model is scored, whatever the length of the history.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from headrace.state.ledger.records import Entry, Evaluated, Evidence, Version
from headrace.state.ledger.rules import rolled_back
from headrace.state.ledger.schema import CHAIN

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

Description = dict[str, Any] | None
# Low, because a false positive would lower accuracy permanently.
LEVEL = 0.001


class Attempt(Evaluated):
    """One evaluation of a version, with what later comparisons depend on.

    Attributes:
        id: of the evidence; attempts are sorted by it.
        training: the identity of its version's training.
    """

    id: int
    training: str

    def had(self, champion: int) -> bool:
        """Whether it evaluated a version, as challenger or as champion."""
        return champion in {self.version, self.champion_version}

    def p_value_against(self, version: int) -> float:
        """The p-value for being better than ``version``; 1 if not compared with it."""
        p_values = {
            self.best_version: self.metrics.get("best_p_value"),
            self.champion_version: self.metrics.get("champion_p_value"),
        }
        p_value = p_values.get(version)
        return 1.0 if p_value is None else p_value


@dataclass(frozen=True, slots=True)
class BestFormer:
    """The best former champion.

    Attributes:
        version: its version; None if it is the champion or the challenger itself,
            or if there was none.
        since: the id of the evidence of its promotion; 0 if there is none.
    """

    version: int | None = None
    since: int = 0


def attempts_of(ledger: Ledger, model: str) -> list[Attempt]:
    """All evaluations of a model's versions that are evidence, oldest first."""
    names = Attempt.model_fields.keys() - {"id", "version", "training"}
    values = [CHAIN.c.body[name].label(name) for name in names]
    training = CHAIN.c.body["training"].as_string().label("training")
    own = sa.select(CHAIN.c.version, CHAIN.c.sequence.label("id"))
    own = own.where(CHAIN.c.model == model).order_by(CHAIN.c.sequence)
    versions = own.add_columns(training).where(CHAIN.c.kind == Version.KIND)
    evidence = own.add_columns(*values).where(CHAIN.c.kind == Evidence.KIND)
    with ledger.database.reading_once():
        rows = ledger.database.rows(versions)
        trainings = {row["version"]: row["training"] for row in rows}
        return [
            Attempt(**row, training=trainings[row["version"]])
            for row in ledger.database.rows(evidence)
        ]


def find_best_former(
    ledger: Ledger,
    model: str,
    champion: int,
    training: str,
    gone: Collection[int] = (),
    same: Callable[[Description, Description], bool] = operator.eq,
) -> BestFormer:
    """The best champion up to the present champion's promotion.

    A version that was rolled back and not promoted again is excluded: a person has
    rejected it, perhaps for its accuracy. So are those for other items or classes than
    the champion's.

    Args:
        ledger: with the history of the model.
        model: its name.
        champion: the version that a challenger is compared with.
        training: of the challenger, which is not compared with itself.
        gone: versions that cannot be loaded.
        same: whether models with these recorded descriptions can be compared.

    Raises:
        DependencyError: the ledger does not answer.
    """
    entries, attempts = ledger.history(model), attempts_of(ledger, model)
    versions = {row.version: row for row in ledger.versions(model)}
    data = versions[champion].details.get("description")
    promotions = [n for n, entry in enumerate(entries) if entry.to_version == champion]
    history = entries[: promotions[-1] + 1] if promotions else entries
    excluded = rolled_back(history).keys() | set(gone)
    best: int | None = None
    since = 0
    for entry in history:
        version = entry.to_version
        if entry.action != "promote" or version in excluded:
            continue
        if not same(versions[version].details.get("description"), data):
            continue
        if best is None or _is_better(version, best, entry, attempts):
            best, since = version, entry.evidence_id or 0
    if best is None or best == champion or versions[best].training == training:
        return BestFormer(None, since)
    return BestFormer(best, since)


def _is_better(
    version: int, best: int, entry: Entry, attempts: Sequence[Attempt]
) -> bool:
    """Whether a version was significantly better than another when promoted."""
    if version == best or entry.evidence_id is None:
        return False
    own = (a for a in attempts if a.version == version and a.id <= entry.evidence_id)
    return any(attempt.p_value_against(best) < LEVEL for attempt in own)


def earlier_attempts(
    attempts: Sequence[Attempt], training: str, champion: int, snapshot: str
) -> int:
    """How many evaluations came before the first one of this training.

    Args:
        attempts: all evidence of the model, oldest first.
        training: its identity.
        champion: the version that it is compared with.
        snapshot: the digest of the snapshot with the test items.
    """
    for number, attempt in enumerate(attempts):
        compared = attempt.champion_version, attempt.snapshot_digest
        if (attempt.training, *compared) == (training, champion, snapshot):
            return number
    return len(attempts)
