"""How large a training is: the same number on every machine, however fast it is."""

from __future__ import annotations

import math

from headrace.records import TrainingRecord

# About ten seconds of processors for the check of a dense network's explanations.
SMALL = 8e10


def size_of(training: TrainingRecord, rows: int, epochs: int) -> float:
    """Rows x epochs x parameters of a training.

    Args:
        training: whose number of fitted parameters is recorded.
        rows: of train, without quarantined ones.
        epochs: of its recipe.

    Returns:
        infinity where the number of parameters is not known.
    """
    return rows * epochs * training.metrics.get("parameters", math.inf)
