"""Labels that are more likely wrong than right.

A model that disagrees with a label is usually wrong itself, and more often where its
confidence is low. Whether a label is wrong does not depend on that confidence. So the
rate of disagreement at a confidence is modelled as ``lapse + (1 - lapse) * error``,
where ``error`` is a logistic function of the log-odds of the confidence. The lapse rate
is the share of wrong labels. ``lapse / rate`` is the probability that a label is wrong
where the model disagrees with it. Without evidence of a lapse, errors of the model
explain every disagreement, and no label is shown.

Sources: F. A. Wichmann, N. J. Hill, The psychometric function: I. Fitting, sampling,
and goodness of fit, Perception & Psychophysics 63 (2001), for the lapse rate; J. Platt,
Probabilistic outputs for support vector machines (1999), for the logistic function.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from headrace.records import SuspectRecord
from headrace.tasks.forms import Judged, Suspect

MOST = 50
LEAST_CHANCE = 0.5
# The log likelihood ratio that shows a lapse at a one-sided level of 1 %.
_EVIDENCE = 2.71
_SUREST = 1e-7

Floats = npt.NDArray[np.float64]


def find_suspects(
    parts: Iterable[Judged], classes: Sequence[str], *, own_loss: bool = False
) -> list[Suspect]:
    """The rows whose label is most likely wrong, worst first, at most `MOST`.

    Args:
        parts: rows of some splits, one split after the other; each split is fitted
            alone, and only one is in memory.
        classes: in the order of the outputs.
        own_loss: whether the model was fitted to another loss than the cross entropy.
            It may then leave rare rows of train unlearned with high confidence, which
            look like wrong labels: they count only if held-out rows have suspects, too.
    """
    suspects: list[Suspect] = []
    for _, split in itertools.groupby(parts, lambda part: part.split):
        suspects += _suspects_of_split(list(split), classes)
    if own_loss and all(suspect.row.split == "train" for suspect in suspects):
        return []
    return heapq.nlargest(MOST, suspects, key=lambda suspect: suspect.row.chance_wrong)


def _suspects_of_split(
    parts: Sequence[Judged], classes: Sequence[str]
) -> list[Suspect]:
    outputs = np.concatenate([part.outputs for part in parts])
    if not np.isfinite(outputs).all():
        return []  # the gate "finite" refuses the model
    labels = np.concatenate([part.targets for part in parts])
    confidence = outputs.max(axis=1).astype(np.float64)
    disagrees = outputs.argmax(axis=1) != labels
    chance_wrong = np.where(disagrees, chances_of_wrong(confidence, disagrees), 0)
    rows = [(part, row) for part in parts for row in range(len(part.targets))]
    worst = np.argsort(-chance_wrong, kind="stable")[:MOST].tolist()
    return [
        Suspect(
            part.items[row],
            SuspectRecord(
                name=part.names[row],
                split=part.split,
                label=classes[int(part.targets[row])],
                likely=classes[int(part.outputs[row].argmax())],
                chance=round(float(confidence[place]), 4),
                chance_wrong=round(float(chance_wrong[place]), 4),
            ),
        )
        for place in worst
        for part, row in [rows[place]]
        if chance_wrong[place] > LEAST_CHANCE
    ]


def chances_of_wrong(
    confidence: Floats, disagrees: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """The probability that a label is wrong where the model disagrees with it.

    Args:
        confidence: the model's probability of the class that it predicts, ``(n,)``.
        disagrees: whether that class is not the label, ``(n,)``.

    Returns:
        ``(n,)``; all 0 where there is no evidence of a wrong label.
    """
    from scipy import optimize, special

    if not disagrees.any():
        return np.zeros(len(confidence))
    doubt = special.logit(np.clip(1 - confidence, _SUREST, 1 - _SUREST))

    def error(shift: float, slope: float) -> Floats:
        return np.asarray(special.expit(shift + np.exp(slope) * doubt))

    def loss(lapse: float, shift: float, slope: float) -> float:
        rate = np.clip(lapse + (1 - lapse) * error(shift, slope), 1e-12, 1 - 1e-12)
        likelihood = np.where(disagrees, np.log(rate), np.log1p(-rate)).sum()
        return float((shift / 2) ** 2 + slope**2 - 2 * likelihood) / 2

    without = optimize.minimize(lambda x: loss(0, *x), (0, 0), method="Nelder-Mead")
    fits = [
        optimize.minimize(
            lambda x: loss(float(special.expit(x[0])), *x[1:]),
            (special.logit(start), *without.x),
            method="Nelder-Mead",
        )
        for start in (0.005, 0.05)
    ]
    best = min(fits, key=lambda fit: float(fit.fun))
    if without.fun - best.fun < _EVIDENCE:
        return np.zeros(len(doubt))
    lapse = float(special.expit(best.x[0]))
    return np.asarray(lapse / (lapse + (1 - lapse) * error(*best.x[1:])))
