"""The loss of each attacked row, by the answers of a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription
from headrace.stages.evaluation.membership.rows import AttackedRows
from headrace.stages.fitting.features import FrozenAnswers
from headrace.state.home import Home
from headrace.tasks import asked, task

_AT_ONCE = 1024


def losses_of(
    model: Any,
    rows: AttackedRows,
    data: DataDescription,
    training: TrainingSpec,
    home: Home | None = None,
) -> npt.NDArray[np.float64] | None:
    """The losses of the attacked rows ``(n,)``; None where answers show none.

    Args:
        model: a Keras model from raw questions to answers.
        rows: of the attack.
        data: of the snapshot.
        training: the recipe. Labels are not smoothed here.
        home: has the outputs of frozen layers.
    """
    head, answers = task(data.task).head, FrozenAnswers(model, asked(data).raw, home)
    plain = training.model_copy(update={"label_smoothing": 0.0})
    losses: list[npt.NDArray[np.float64]] = []
    for outputs, targets in answers.over(rows.attacked):
        for start in range(0, len(outputs), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            own = head.row_losses(model, outputs[some], targets[some], plain)
            if own is None:
                return None
            losses.append(own)
    return np.concatenate(losses)
