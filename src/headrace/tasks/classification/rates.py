"""Rates of a classification by which groups are compared, beside the accuracy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrace.tasks.forms import Outputs, Targets
from headrace.tasks.judge import Rated
from headrace.tasks.judging import is_answered


def rate_of(
    name: str, outputs: Outputs, targets: Targets, classes: Sequence[str]
) -> Rated | None:
    """The recall or the precision of a class, or how often it is answered.

    Args:
        name: ``class=NAME/recall``, ``/precision`` or ``/answered``.
        outputs: ``(n, classes)``.
        targets: class indices, ``(n,)``.
        classes: their names.

    Returns:
        None for any other name.
    """
    label, _, rate = name.removeprefix("class=").rpartition("/")
    if not name.startswith("class=") or label not in classes:
        return None
    number = classes.index(label)
    likeliest = outputs.argmax(axis=1) == number
    answered = np.asarray(is_answered(outputs) & likeliest, bool)
    of_class = np.asarray(targets == number, bool)
    match rate:
        case "recall":
            return Rated(answered, of_class)
        case "precision":
            return Rated(of_class, answered)
        case "answered":
            return Rated(answered, np.ones(len(targets), bool))
    return None
