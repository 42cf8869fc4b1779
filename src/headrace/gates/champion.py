"""The champion's policy: when a challenger may take its place.

Pure functions of each row's score, which is either right or wrong, or a number. The
ledger and the store decide which rows are new and how many attempts came before; see
`evaluation.comparison`.

A challenger is promoted if it is

- significantly better than the champion, where a gain is asked by more than that, on
  all test items; or
- non-inferior to it by the margin on enough test items that no attempt on this pipeline
  was judged on,

and if it is not significantly worse, neither on the new items nor on all. An answer
without a finite score is lost, and a challenger with one where the champion has none is
not promoted; where both have one, the item does not count. Items that one of the two
models was trained on are left out.

The significance level is shared among the attempts on any of the same items, which
keeps the family-wise error at the gate's level (0.05): with any number of equal
challengers on the same items, the chance that one is ever promoted as better is at most
5 %. On items that are all new, the chance that a challenger that is worse by the margin
is promoted is at most 2 %. That is proved for answers that are right or wrong; for
numbers it depends on their distribution. ``docs/explanation/statistics.md`` has
figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from headrace.gates.paired import Paired, Right
from headrace.gates.paired_numbers import PairedNumbers, as_means
from headrace.pipeline import GateSpec
from headrace.records import GateResult, Metrics

if TYPE_CHECKING:
    from headrace.tasks import Judged
    from headrace.tasks.forms import Scores

Compared = tuple[str, float | None, str, float]  # name, value, sign, bound
# The first attempt gets 39 % of the level, the second 17 %, the 20th 0.4 %.
_SHARE = 1 / (math.pi**2 / 6 - 1)  # 1 over the sum of 1 / (k + 1)^2 for k = 1, 2, 3 ...


class Scored(NamedTuple):
    """The scores of a model's answers.

    Attributes:
        scores: of each row, ``(n,)``: whether it is right, bool, or a number.
        answered: which answers have finite numbers only, bool ``(n,)``. A score alone
            may not tell: an answer that is no number is just wrong.
        weights: the denominators of the scores, ``(n,)``; None where they do not depend
            on the answers.
    """

    scores: Scores
    answered: Right
    weights: Scores | None = None

    @classmethod
    def of(cls, judged: Judged) -> Scored:
        """The scores of answers."""
        weights = judged.weights if judged.WEIGHTS_VARY else None
        return cls(judged.scores, judged.is_answered, weights)

    @classmethod
    def join(cls, parts: Sequence[Scored]) -> Scored:
        """The scores of all parts."""
        weights = [part.weights for part in parts if part.weights is not None]
        return cls(
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.answered for part in parts]),
            np.concatenate(weights) if len(weights) == len(parts) else None,
        )


@dataclass(frozen=True, slots=True)
class Challenge:
    """One attempt to replace a champion.

    Attributes:
        own, other: the scores of the challenger and of the champion.
        champion: its version.
        compared: rows that neither model was trained on, one for each item, bool
            ``(n,)``.
        new: rows whose item no earlier attempt was judged on, bool ``(n,)``.
        attempt: its number among the attempts on any of these items; 1, 2, 3 ...
        higher_is_better: of numeric scores.
        notes: what weakens the comparison, in words.
    """

    own: Scored
    other: Scored
    champion: int
    compared: Right
    new: Right
    attempt: int = 1
    higher_is_better: bool = True
    notes: tuple[str, ...] = ()

    def counted(self, rows: Right) -> Paired | PairedNumbers:
        """The two models on the rows ``(n,)`` that are compared."""
        (own, has_own, weights), (other, has_other, others) = self.own, self.other
        compared = self.compared & rows
        if own.dtype == bool:
            return Paired.of(own, other, compared, (has_own, has_other))
        if weights is not None and others is not None:
            counted = compared & has_own & has_other
            own, other = as_means((own, weights), (other, others), counted)
        own, other = np.where(has_own, own, np.nan), np.where(has_other, other, np.nan)
        higher = self.higher_is_better
        return PairedNumbers.of(own, other, compared, higher_is_better=higher)


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
    """Compare a challenger with the champion.

    Args:
        gate: its threshold is the significance level. Its margin is what a challenger
            may lose on new items, its gain what it must be better by: of accuracy, or
            as a share of the champion's mean score.
        trial: the attempt.

    Returns:
        the verdict, and figures for the evidence: ``champion_p_value`` (one-sided,
        better, on all items), ``compared_items`` and ``new_items``.
    """
    judgement = _Judgement(gate, trial)
    passed, reason, (name, value, sign, threshold) = judgement.verdict()
    metrics = {
        "compared_items": float(judgement.all.rows),
        "new_items": float(judgement.new.rows),
        "champion_p_value": judgement.all.p_better,
    }
    result = GateResult(
        name=gate.name,
        passed=passed,
        value=value,
        threshold=threshold,
        p_value=judgement.all.p_better,
        kind="champion",
        reason="; ".join([reason, *trial.notes]),
        compared=f"{name} {value:.4g} {sign} {threshold:.4g}" if name else "",
    )
    return result, metrics


class _Judgement:
    """The counts of one trial, and the verdict from them."""

    def __init__(self, gate: GateSpec, trial: Challenge) -> None:
        self.gate, self.trial, self.total = gate, trial, gate.threshold or 0.0
        self.level = level_of(trial.attempt, self.total)
        self.all = trial.counted(np.ones(len(trial.new), bool))
        self.new = trial.counted(trial.new)
        self.name = f"version {trial.champion}"

    def verdict(self) -> tuple[bool, str, Compared]:
        """Whether it passed, why, and the comparison that decided."""
        if not self.all.rows:
            reason = (
                f"no test item is left to compare with {self.name}: the models learned "
                "from all of them, or neither has a finite score"
            )
            return False, reason, ("", None, "", self.level)
        if objection := next(self._objections(), None):
            return False, *objection
        better = self.all.p_better < self.level
        decided: Compared = ("p(better)", self.all.p_better, "<", self.level)
        if self.new.enough(self.gate.margin, self.level):
            bound = self.new.lower_bound(self.level)
            lowest = ("lowest difference", bound, ">", -self.gate.margin)
            if bound > -self.gate.margin:
                return True, self._no_worse(bound), lowest
            if not better:
                return (
                    False,
                    f"{self._may_be_worse(bound)}, and {self._better()}",
                    lowest,
                )
        if not better or not self.gate.gain:
            return better, self._better(), decided
        least, gain, share = (
            self.all.lower_bound(self.level),
            self.gate.gain,
            self.all.share,
        )
        reason = (
            f"{self._better()}, {'and' if least > gain else 'but'} the gain is shown "
            f"to be at least {share(least)}, where more than {share(gain)} is asked"
        )
        return least > gain, reason, ("gain", least, ">", gain)

    def _objections(self) -> Iterator[tuple[str, Compared]]:
        """Why it is worse for sure, in words and numbers."""
        if lost := self.all.lost:
            text = (
                f"no finite score for its answers to {lost:,} test items, where "
                f"{self.name} has one"
            )
            yield text, ("answers without a finite score", lost, "<=", 0)
        for counts, kind in ((self.new, "new "), (self.all, "")):
            if (p_value := counts.p_worse) < self.total:
                text = (
                    f"significantly worse than {self.name} on {counts.rows:,} {kind}"
                    f"test items ({counts.in_words()}, p = {p_value:.3g})"
                )
                yield text, ("p(worse)", p_value, ">=", self.total)

    def _no_worse(self, bound: float) -> str:
        return (
            f"no worse than {self.name} on {self.new.rows:,} new test items "
            f"({self.new.in_words()}; the difference is at least "
            f"{self.new.share(bound)}, margin {self.gate.margin:g})"
        )

    def _may_be_worse(self, bound: float) -> str:
        return (
            f"may be worse than {self.name}: {self.new.rows:,} new test items "
            f"({self.new.in_words()}) show only that the difference is at least "
            f"{self.new.share(bound)}, margin {self.gate.margin:g}"
        )

    def _better(self) -> str:
        counts, new = self.all, self.new.rows
        word = "" if counts.p_better < self.level else "not "
        kind = f" ({new:,} of them new)" if new else " that were judged before"
        return (
            f"{word}significantly better than {self.name} on {counts.rows:,} test "
            f"items{kind} ({counts.in_words()}, p = {counts.p_better:.3g}; attempt "
            f"{self.trial.attempt} on them needs p < {self.level:.3g})"
        )
