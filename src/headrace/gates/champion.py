"""The champion's policy: when a challenger may take its place.

Pure functions of each row's score, which is either right or wrong, or a number. The
ledger and the store decide which rows are new and how many attempts came before; see
`evaluation.items`.

A challenger is promoted if it is

- non-inferior by the margin to the champion and to the best former champion, on enough
  test items that no earlier attempt on this pipeline was judged on; or
- significantly better than the champion, where a gain is asked by more than that, on
  all test items, including those that the champion was judged on and that are no longer
  in the data,

and if it is not significantly worse than either of them, neither on the new items nor
on all present ones. An answer whose score is not finite, or is 2^24 times as large as
all others, is lost, and a challenger with one where an opponent has none is not
promoted; where both have one, the item does not count. Items that one of the two models
was trained on are left out of their comparison.

The significance level is shared among attempts, which keeps the family-wise error at
the gate's level (0.05). With any number of equal challengers on the same items, the
chance that one is ever promoted is at most 5 %. With any number on new items, the
chance that one worse than the best by the margin is promoted is at most 5 %. That is
proved for answers that are right or wrong; for numbers it depends on their
distribution. ``docs/explanation/statistics.md`` has figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.gates.paired import Paired, Right
from headrace.gates.paired_numbers import PairedNumbers, as_means
from headrace.pipeline import GateSpec
from headrace.records import GateResult, Metrics

Compared = tuple[str, float | None, str, float]  # name, value, sign, bound
# The first attempt gets 39 % of the level, the second 17 %, the 20th 0.4 %.
_SHARE = 1 / (math.pi**2 / 6 - 1)  # 1 over the sum of 1 / (k + 1)^2 for k = 1, 2, 3 ...


@dataclass(frozen=True, slots=True)
class Opponent:
    """A model that a challenger is compared with.

    Attributes:
        version: of the model.
        scores: of each row, ``(n,)``: whether it is right, bool, or a number.
        compared: rows that neither model was trained on, one for each item, bool
            ``(n,)``.
        answered: rows whose answer has finite numbers only, bool ``(n,)``; None for
            all. No other answer has a score, whatever the scores say.
        weights: the denominators of the scores where they depend on the answers,
            ``(n,)``; else None.
    """

    version: int
    scores: npt.NDArray[Any]
    compared: Right
    answered: Right | None = None
    weights: npt.NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """One attempt to replace a champion.

    Attributes:
        scores: of the challenger, ``(n,)``: whether it is right, bool, or a number.
        answered, weights: as of an `Opponent`.
        new: rows whose item no earlier attempt was judged on, bool ``(n,)``.
        champion: the present champion.
        best: the best former champion; None if that is the champion.
        attempt: the number of this attempt among those on any of these items, or since
            the best champion was promoted; 1, 2, 3 ...
        attempt_on_new: the same among the attempts that new items decided.
        vanished: rows that the champion was judged on and that are no longer in the
            data, bool ``(n,)``. They count, so that removing rows on which a
            challenger is wrong does not help it. None if there are none.
        unanswered: how many more such rows there are whose snapshot is gone, so that
            they cannot be scored again. They count as lost.
        higher_is_better: of numeric scores.
        notes: what weakens the comparison, in words.
    """

    scores: npt.NDArray[Any]
    new: Right
    champion: Opponent
    best: Opponent | None = None
    attempt: int = 1
    attempt_on_new: int = 1
    vanished: Right | None = None
    unanswered: int = 0
    higher_is_better: bool = True
    notes: tuple[str, ...] = ()
    answered: Right | None = None
    weights: npt.NDArray[Any] | None = None


def level_of(attempt: int, total: float) -> float:
    """The share of a significance level that the k-th attempt gets.

    The shares of all attempts, however many, add up to the total. (A share of
    total / k each would add up to 3.6 times the total after 20.)
    """
    return total * _SHARE / (attempt + 1) ** 2


def not_compared(gate: GateSpec, note: str = "") -> GateResult:
    """The verdict if there is nothing to compare with.

    Args:
        gate: the gate.
        note: why the champion cannot be compared, which keeps it champion. Empty if
            there is no champion.
    """
    return GateResult(
        name=gate.name,
        passed=not note,
        threshold=gate.threshold,
        kind="champion",
        reason=note or "there was no champion to compare with",
    )


def champion_gate(gate: GateSpec, trial: Challenge) -> tuple[GateResult, Metrics]:
    """Compare a challenger with the champion and the best former champion.

    Args:
        gate: its threshold is the significance level. Its margin is what a challenger
            may lose on new items, its gain what it must be better by on old ones: of
            accuracy, or as a share of the opponent's mean score.
        trial: the attempt.

    Returns:
        the verdict, and figures for the evidence: ``champion_p_value`` and
        ``best_p_value`` (one-sided, better, on all items), ``compared_items``,
        ``new_items``, and ``attempt_on_new_items`` if there were enough of them.
    """
    return _Judgement(gate, trial).result()


class _Judgement:
    """The counts of one trial, and the verdict from them."""

    def __init__(self, gate: GateSpec, trial: Challenge) -> None:
        self.gate, self.trial, self.total = gate, trial, gate.threshold or 0.0
        self.level = level_of(trial.attempt, self.total)
        self.level_on_new = level_of(trial.attempt_on_new, self.total)
        self.opponents = [trial.champion, *([trial.best] if trial.best else [])]
        every, lost = np.ones(len(trial.scores), bool), trial.unanswered
        present = every if trial.vanished is None else ~trial.vanished
        self.all = [self._compare(o, every).with_lost(lost) for o in self.opponents]
        self.present = [self._compare(o, present) for o in self.opponents]
        self.new = [self._compare(o, trial.new & present) for o in self.opponents]
        self.has_enough = all(
            counts.enough(gate.margin, self.level_on_new) for counts in self.new
        )

    def _compare(self, opponent: Opponent, rows: Right) -> Paired | PairedNumbers:
        own, other = self.trial.scores, opponent.scores
        has_own, has_other = self._answered(self.trial), self._answered(opponent)
        compared = opponent.compared & rows
        if own.dtype == bool:
            return Paired.of(own, other, compared, (has_own, has_other))
        if self.trial.weights is not None and opponent.weights is not None:
            rows = compared & has_own & has_other
            ratios = (own, self.trial.weights), (other, opponent.weights)
            own, other = as_means(*ratios, rows)
        own = np.where(has_own, own, np.nan)
        other = np.where(has_other, other, np.nan)
        higher = self.trial.higher_is_better
        return PairedNumbers.of(own, other, compared, higher_is_better=higher)

    @staticmethod
    def _answered(model: Challenge | Opponent) -> Right:
        every = np.ones(len(model.scores), bool)
        return every if model.answered is None else model.answered

    def result(self) -> tuple[GateResult, Metrics]:
        passed, reason, (name, value, sign, threshold) = self._verdict()
        metrics = {
            "compared_items": float(self.all[0].rows),
            "new_items": float(self.new[0].rows),
            "champion_p_value": self.all[0].p_better,
        }
        if self.trial.best:
            metrics["best_p_value"] = self.all[1].p_better
        if self.has_enough:
            metrics["attempt_on_new_items"] = float(self.trial.attempt_on_new)
        result = GateResult(
            name=self.gate.name,
            passed=passed,
            value=value,
            threshold=threshold,
            p_value=self.all[0].p_better,
            kind="champion",
            reason="; ".join([reason, *self.trial.notes]),
            compared=f"{name} {value:.4g} {sign} {threshold:.4g}" if name else "",
        )
        return result, metrics

    def _verdict(self) -> tuple[bool, str, Compared]:
        """Whether it passed, why, and the comparison that decided."""
        if not self.present[0].rows:
            reason = (
                "no test item is left to compare with version "
                f"{self.trial.champion.version}: the models learned from all of them, "
                "or neither has a finite score"
            )
            return False, reason, ("", None, "", self.level)
        if objection := next(self._objections(), None):
            return False, *objection
        p_better = self.all[0].p_better
        bounds = [counts.lower_bound(self.level_on_new) for counts in self.new]
        lowest = ("lowest difference", min(bounds), ">", -self.gate.margin)
        if self.has_enough and min(bounds) > -self.gate.margin:
            return True, self._no_worse(bounds), lowest
        if self.has_enough and p_better >= self.level:
            reason = f"{self._may_be_worse(bounds)}, and {self._better('not ')}"
            return False, reason, lowest
        word = "" if p_better < self.level else "not "
        decided: Compared = ("p(better)", p_better, "<", self.level)
        if word or not self.gate.gain:
            return not word, self._better(word), decided
        least = self.all[0].lower_bound(self.level)
        reason = f"{self._better(word)}, {self._by_at_least(least)}"
        return least > self.gate.gain, reason, ("gain", least, ">", self.gate.gain)

    def _objections(self) -> Iterator[tuple[str, Compared]]:
        """Why it is worse than an opponent for sure, in words and numbers."""
        counted = zip(self.opponents, self.all, self.present, strict=True)
        for opponent, counts, left in counted:
            if not counts.lost:
                continue
            gone = counts.lost - left.lost
            text = (
                f"no finite score for its answers to {counts.lost:,} test items"
                f"{f' ({gone:,} of them no longer in the data)' * bool(gone)}, "
                f"or one beyond all others, where {self._name(opponent)} has one"
            )
            yield text, ("answers without a finite score", counts.lost, "<=", 0)
        for place, opponent in enumerate(self.opponents):
            name = self._name(opponent)
            for counts, kind in ((self.new[place], "new "), (self.present[place], "")):
                p_value = counts.p_worse
                if p_value < self.total:
                    text = (
                        f"significantly worse than {name} on {counts.rows:,} {kind}"
                        f"test items ({counts.in_words()}, p = {p_value:.3g})"
                    )
                    yield text, ("p(worse)", p_value, ">=", self.total)

    def _no_worse(self, bounds: list[float]) -> str:
        sides = zip(self.opponents, self.new, bounds, strict=True)
        parts = [
            f"than {self._name(opponent)} on {counts.rows:,} new test items "
            f"({counts.in_words()}; the difference is at least {counts.share(bound)}, "
            f"margin {self.gate.margin:g})"
            for opponent, counts, bound in sides
        ]
        return f"no worse {' and '.join(parts)}"

    def _may_be_worse(self, bounds: list[float]) -> str:
        place = bounds.index(min(bounds))
        counts = self.new[place]
        return (
            f"may be worse than {self._name(self.opponents[place])}: "
            f"{counts.rows:,} new test items ({counts.in_words()}) show only that the "
            f"difference is at least {counts.share(bounds[place])}, "
            f"margin {self.gate.margin:g}"
        )

    def _better(self, word: str) -> str:
        counts, new = self.all[0], self.new[0].rows
        gone = counts.rows - self.present[0].rows
        facts = [f"{new:,} of them new"] if new else []
        facts += [f"{gone:,} of them no longer in the data"] if gone else []
        kind = f" ({', '.join(facts)})" if facts else " that were judged before"
        return (
            f"{word}significantly better than version {self.trial.champion.version} on "
            f"{counts.rows:,} test items{kind} ({counts.in_words()}, "
            f"p = {counts.p_better:.3g}; attempt {self.trial.attempt} on them needs "
            f"p < {self.level:.3g})"
        )

    def _by_at_least(self, least: float) -> str:
        share, gain = self.all[0].share, self.gate.gain
        return (
            f"{'and' if least > gain else 'but'} the gain is shown to be at least "
            f"{share(least)}, where more than {share(gain)} is asked"
        )

    def _name(self, opponent: Opponent) -> str:
        former = opponent is self.trial.best
        return f"version {opponent.version}{', the best former champion,' * former}"
