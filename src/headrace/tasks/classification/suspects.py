"""Ranks the labels that a model disagrees with.

A model that disagrees with a label is usually wrong itself, and more often where its
confidence is low. Whether a label is wrong does not depend on that confidence. So the
rate of disagreement at a confidence is modelled as ``lapse + (1 - lapse) * error``,
where ``error`` is a logistic function of the log-odds of the confidence. The lapse rate
is the share of wrong labels. ``lapse / rate`` ranks the labels that the model disagrees
with. Without evidence of a lapse, errors of the model explain every disagreement, and
no label is shown. Rows whose confidence is saturated are no evidence, as how often the
model errs there does not follow from the others.

A model that has learned wrong labels of train by heart is wrong about right labels of
other rows, at any confidence, and this looks like a lapse. So a label of a held-out row
is shown only if a second opinion agrees, of models that have not seen train. Unless it
changes significantly more of these labels than it keeps, the disagreement is the
model's own error, and no label of the split is shown.

Sources: F. A. Wichmann, N. J. Hill, The psychometric function: I. Fitting, sampling,
and goodness of fit, Perception & Psychophysics 63 (2001), for the lapse rate; J. Platt,
Probabilistic outputs for support vector machines (1999), for the logistic function;
C. G. Northcutt, L. Jiang, I. L. Chuang, Confident learning, Journal of Artificial
Intelligence Research 70 (2021), for models that have not seen the labels in question.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.records import SuspectRecord
from headrace.tasks.forms import AnsweredRows, Second, Suspect

MOST = 50
LEAST_CHANCE = 0.5
# The log likelihood ratio that shows a lapse at a one-sided level of 1 %.
_EVIDENCE = 2.71
_LEVEL = 0.05  # at which a second opinion changes more of the labels than it keeps
_SATURATED = 1e-6  # 1 minus the confidence; float32 resolves little below it

Floats = npt.NDArray[np.float64]


class Lapse(NamedTuple):
    """A lapse rate, and how the model's errors depend on its confidence.

    Attributes:
        rate: the share of wrong labels.
        shift, slope: of the errors.
    """

    rate: float
    shift: float
    slope: float

    def chances(self, confidence: Floats) -> Floats:
        """The chances that labels are wrong where the model disagrees, ``(n,)``."""
        from scipy import special

        error = special.expit(self.shift + self.slope * _doubt(confidence))
        return np.asarray(self.rate / (self.rate + (1 - self.rate) * error))


def find_suspects(
    parts: Iterable[AnsweredRows],
    classes: Sequence[str],
    second: Second,
    *,
    own_loss: bool = False,
) -> list[Suspect]:
    """The rows whose labels are worth a look, ranked, at most `MOST`.

    Args:
        parts: rows of some splits, one split after the other; each split is fitted
            alone. Only items whose label the model disagrees with stay in memory.
        classes: in the order of the outputs.
        second: the answers to held-out rows of models that saw neither these rows nor
            train; None where they are not known, and no row of the split is shown then.
        own_loss: whether the model was fitted to another loss than the cross entropy.
            It may then leave rare rows of train unlearned with high confidence, which
            look like wrong labels: they count only if held-out rows have suspects, too.
    """
    suspects: list[Suspect] = []
    for name, split in itertools.groupby(parts, lambda part: part.split):
        confirm = None if name == "train" else second
        suspects += _suspects_of_split(split, classes, confirm)
    if own_loss and all(suspect.row.split == "train" for suspect in suspects):
        return []
    return heapq.nlargest(MOST, suspects, key=lambda suspect: suspect.rank)


def _suspects_of_split(
    parts: Iterable[AnsweredRows], classes: Sequence[str], second: Second | None
) -> list[Suspect]:
    every, differing = list[Floats](), list[AnsweredRows]()
    disagrees = list[npt.NDArray[np.bool_]]()
    for part in parts:
        outputs = np.where(np.isfinite(part.outputs), part.outputs, np.nan)
        every.append(outputs.max(axis=1).astype(np.float64))
        disagrees.append(part.outputs.argmax(axis=1) != part.targets)
        differing.append(part.chosen(disagrees[-1]))
    confidence = np.concatenate(every)
    if not np.isfinite(confidence).all():
        return []  # the gate "finite" refuses the model
    differs = np.concatenate(disagrees)
    lapse = find_lapse(confidence, differs)
    if lapse is None:
        return []
    confidence = confidence[differs]
    chances = lapse.chances(confidence)
    if not (chances > LEAST_CHANCE).any():
        return []
    if second is not None:
        asked = [part for part in differing if len(part.targets)]
        others = [other for part in asked if (other := second(part)) is not None]
        if len(others) < len(asked):
            return []
        likely = np.concatenate([part.outputs.argmax(axis=1) for part in asked])
        labels = np.concatenate([part.targets for part in asked])
        opinion = np.concatenate(others).argmax(axis=1)
        chances = confirmed(chances, likely, labels, opinion)
    rows = [(part, row) for part in differing for row in range(len(part.targets))]
    worst = np.argsort(-chances, kind="stable")[:MOST].tolist()
    return [
        Suspect(
            part.items[row],
            SuspectRecord(
                name=part.names[row],
                split=part.split,
                label=classes[int(part.targets[row])],
                likely=classes[int(part.outputs[row].argmax())],
                chance=round(float(confidence[place]), 4),
            ),
            float(chances[place]),
        )
        for place in worst
        for part, row in [rows[place]]
        if chances[place] > LEAST_CHANCE
    ]


def confirmed(
    chances: Floats,
    likely: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
) -> Floats:
    """The chances of the rows for which a second opinion agrees with the model.

    Args:
        chances: that each label is wrong, ``(n,)``.
        likely: the class that the model proposes, ``(n,)``.
        labels: as they are, ``(n,)``.
        second: the class that the second opinion proposes, ``(n,)``.

    Returns:
        ``(n,)``; all 0 where the second opinion does not change most suspected labels.
    """
    from scipy import stats

    agrees, listed = second == likely, chances > LEAST_CHANCE
    changed, unchanged = (agrees & listed).sum(), ((second == labels) & listed).sum()
    if stats.binom.sf(changed - 1, changed + unchanged, 0.5) >= _LEVEL:
        return np.zeros(len(chances))
    return np.where(agrees, chances, 0)


def find_lapse(confidence: Floats, disagrees: npt.NDArray[np.bool_]) -> Lapse | None:
    """The lapse rate of a model's disagreement with labels.

    Args:
        confidence: the model's probability of the class that it predicts, ``(n,)``.
        disagrees: whether that class is not the label, ``(n,)``.

    Returns:
        None where there is no evidence of wrong labels.
    """
    from scipy import optimize, special

    unsaturated = 1 - confidence > _SATURATED
    different, doubt = disagrees[unsaturated], _doubt(confidence[unsaturated])
    if not different.any():
        return None

    def loss(lapse: float, shift: float, slope: float) -> float:
        rate = lapse + (1 - lapse) * special.expit(shift + np.exp(slope) * doubt)
        rate = np.clip(rate, 1e-12, 1 - 1e-12)
        likelihood = np.where(different, np.log(rate), np.log1p(-rate)).sum()
        return float((shift / 2) ** 2 + slope**2 - 2 * likelihood) / 2

    def loss_with(x: Floats) -> float:
        return loss(float(special.expit(x[0])), *x[1:])

    without = optimize.minimize(lambda x: loss(0, *x), (0, 0), method="Nelder-Mead")
    fits = [
        optimize.minimize(
            loss_with, (special.logit(start), *without.x), method="Nelder-Mead"
        )
        for start in (0.005, 0.05)
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    if without.fun - best.fun < _EVIDENCE:
        return None
    rate, shift, slope = best.x
    return Lapse(float(special.expit(rate)), float(shift), float(np.exp(slope)))


def _doubt(confidence: Any) -> Any:
    from scipy import special

    return special.logit(np.clip(1 - confidence, _SATURATED, 1 - _SATURATED))
