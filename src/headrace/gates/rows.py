"""What a kind of gate may know beside metrics: the scores and groups of test rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.display.signs import as_score
from headrace.tasks.forms import Rated, Scores


@dataclass(frozen=True, slots=True)
class WeakSlice:
    """Rows on which a model is worse than on the rest, found on val, shown on test.

    Attributes:
        name: its conditions, such as ``mean > 97.2 and group = theo``.
        rows: of test, in the slice.
        score: of these rows.
        rest: the score of all other rows of test.
        loss: how much worse the slice is than the rest, in the unit of the score.
        p_value: one-sided, after Holm's correction.
        members: which rows of test these are, bool ``(n,)``.
    """

    name: str
    rows: int
    score: float
    rest: float
    loss: float
    p_value: float
    members: npt.NDArray[np.bool_]

    def in_words(self, score: str) -> str:
        """Its score and that of the rest.

        Args:
            score: the name of the score.
        """
        return (
            f"{score.replace('_', ' ')} is {as_score(self.score)} on the {self.rows:,} "
            f"test rows with {self.name}, and {as_score(self.rest)} on all others (p = "
            f"{self.p_value:.2g})"
        )


@dataclass(frozen=True, slots=True)
class RungRows:
    """The answers to test items after one shift of the medium's robustness ladder.

    Attributes:
        family, level: such as noise and 25.
        scores: of each row, ``(k,)``.
        weights: their denominators, ``(k,)``; None where all are 1.
        confidence: the mean score that the model promises; None where the task knows
            none.
    """

    family: str
    level: float
    scores: Scores
    weights: Scores | None
    confidence: float | None

    @property
    def name(self) -> str:
        """Such as ``noise 25``."""
        return f"{self.family} {self.level:g}"


@dataclass(frozen=True, slots=True)
class Robustness:
    """A sample of test rows on each rung of a robustness ladder.

    Attributes:
        clean: the same rows as they are, as a rung of no family.
        rungs: in the order of the ladder; those that change no item are left out.
        higher_is_better: of the scores.
    """

    clean: RungRows
    rungs: Sequence[RungRows]
    higher_is_better: bool


NOT_ASKED = 'set depth = "full" in [evaluation]'


@dataclass(frozen=True, slots=True)
class Membership:
    """How well it is told which rows a model learned from.

    Attributes:
        auc, low, high: the area under the ROC curve, 0.5 for guessing, and its
            interval.
        hits: the share of learned rows that are told with 1 % of false alarms; None
            with fewer than 100 other rows.
        members, others: the numbers of rows.
    """

    auc: float
    low: float
    high: float
    hits: float | None
    members: int
    others: int


@dataclass(frozen=True, slots=True)
class JudgedRows:
    """The test rows as a gate compares them; an item counts once in its group.

    Attributes:
        score: the name of the task's score, such as ``accuracy``.
        scores: of each row, ``(n,)``: bool where it is right or wrong.
        weights: the denominators of the scores, ``(n,)``; None where all are 1.
        groups: of each row, ``(n,)``; empty where it has none.
        rate: another rate of the task by its name, of these rows; see
            `headrace.tasks.Judge.rate`.
        weak_slices: confirmed ones, the surest first; None where none were looked for.
        robustness: some rows on a ladder; None where the medium or the task has
            none.
        membership: of the attack; or why it was not measured.
        texts: that the model wrote, in tasks whose models write; for gates of packages.
    """

    score: str
    scores: Scores
    weights: Scores | None
    groups: Sequence[str]
    rate: Callable[[str], Rated | None] = lambda _: None
    weak_slices: Sequence[WeakSlice] | None = None
    robustness: Robustness | None = None
    membership: Membership | str = NOT_ASKED
    texts: Sequence[str] = ()
