"""What a version's outputs tell without labels: expected scores, and a distance.

The estimate by confidence is right where probabilities keep their meaning. That breaks
in two ways: answers change into other confident ones (inverted images), or confidence
falls (rotated ones). The distance is the larger of a measure of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription
from headrace.tasks import Judge, task
from headrace.tasks.distances import EnergyDistance, ks_distance
from headrace.tasks.forms import Outputs

_Floats = npt.NDArray[np.float64]
# Brings the root of an energy distance of probabilities to the scale of the other one:
# where one answer of 20 becomes another, both are about 0.1.
_SCALE = 2.0


@dataclass(frozen=True, slots=True)
class UnlabelledAnswers:
    """Answers without labels.

    Attributes:
        calibrated: ``(n, k)``; None where the task has no estimate.
        expected: scores, ``(n,)``, likewise.
        monitored: numbers of each answer by name, ``(n,)`` each.
    """

    calibrated: _Floats | None
    expected: _Floats | None
    monitored: dict[str, _Floats]


def judge_of(data: DataDescription) -> Judge:
    """The part of the data's task that knows answers."""
    return task(data.task).judge


def read_answers(
    outputs: Outputs, data: DataDescription, temperature: float | None
) -> UnlabelledAnswers:
    """Read outputs ``(n, ...)`` without labels."""
    judge = judge_of(data)
    monitored = judge.monitored(outputs, data)
    if temperature is None:
        return UnlabelledAnswers(None, None, monitored)
    calibrated = judge.calibrated(outputs, temperature)
    return UnlabelledAnswers(calibrated, judge.expected_scores(calibrated), monitored)


class AnswerDistance:
    """The distance of answers from those to the reference, 0 to about 2."""

    def __init__(self, reference: UnlabelledAnswers) -> None:
        self._reference = reference
        self._energy = None
        if reference.calibrated is not None:
            self._energy = EnergyDistance(reference.calibrated)

    def __call__(self, sample: UnlabelledAnswers, *, cautious: bool = True) -> float:
        """The distance; a cautious one adds a standard error for the sample's size."""
        reference = self._reference
        if self._energy is None or sample.calibrated is None:
            names = reference.monitored
            pairs = [(reference.monitored[n], sample.monitored[n]) for n in names]
            return max((ks_distance(*pair) for pair in pairs), default=0.0)
        if sample.expected is None or reference.expected is None:
            raise ValueError("calibrated answers have expected scores")
        value, error = self._energy(sample.calibrated)
        moved = _SCALE * float(np.sqrt(max(0.0, value + cautious * error)))
        return max(moved, ks_distance(reference.expected, sample.expected))
