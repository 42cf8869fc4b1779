"""Evaluations as later comparisons see them: who was judged on what, in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.records import Record


class Attempt(Record):
    """One evaluation of a version, as far as later comparisons depend on it.

    Attributes:
        id: of the evidence; they are in its order.
        champion_version: the version it was compared with; None if there was none.
        best_version: the best former champion, compared with as well; None if none.
        rows_digest: sha256 of the sorted digests of the items that were judged; empty
            where a ledger of an earlier release did not know.
        metrics: by name; None where the value was not finite.
    """

    id: int
    version: int
    weights_digest: str
    champion_version: int | None
    best_version: int | None
    snapshot_digest: str
    rows_digest: str
    metrics: Mapping[str, float | None]

    def had(self, champion: int) -> bool:
        """Whether a version was judged in it, as challenger or as champion."""
        return champion in {self.version, self.champion_version}

    def chance_against(self, version: int) -> float:
        """The chance of its answers if it were no better than ``version``.

        It is 1 where the two were not compared.
        """
        chances = {
            self.best_version: self.metrics.get("best_p_value"),
            self.champion_version: self.metrics.get("champion_p_value"),
        }
        chance = chances.get(version)
        return 1.0 if chance is None else chance


def earlier_attempts(
    attempts: Sequence[Attempt], weights: str, champion: int, snapshot: str
) -> int:
    """How many evaluations came before that of some weights; it fixes their number.

    Args:
        attempts: all evidence of the model, oldest first.
        weights: the digest of the weights.
        champion: the version that they are compared with.
        snapshot: the digest of the snapshot whose test items judge.
    """
    for place, attempt in enumerate(attempts):
        if (
            attempt.weights_digest,
            attempt.champion_version,
            attempt.snapshot_digest,
        ) == (weights, champion, snapshot):
            return place
    return len(attempts)
