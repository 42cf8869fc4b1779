"""Agreement of two versions on the same items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headrace.errors import InputError
from headrace.monitoring.drift.answers import judge_of
from headrace.monitoring.drift.profile import Profile
from headrace.monitoring.drift.windows import Window
from headrace.records import DataDescription
from headrace.tasks.forms import Outputs
from headrace.tasks.judging import is_answered

FEWEST_ROWS = 50


@dataclass(frozen=True, slots=True)
class Agreement:
    """Shares of items to which two versions give the same answer.

    Attributes:
        share: of the window.
        of_reference: of the reference items that both profiles have.
    """

    share: float
    of_reference: float


def agreement(
    profile: Profile, window: Window, shadow: Profile, outputs: Outputs
) -> Agreement | None:
    """How far two versions agree; None where too few rows or no choices tell.

    Args:
        profile: of the version that answered.
        window: what it answered.
        shadow: the profile of the other version.
        outputs: of the other version, ``(n, ...)``; NaN where it did not answer.

    Raises:
        InputError: there is not one output for each row of the window.
    """
    if outputs.shape != window.outputs.shape:
        raise InputError(
            f"The shadow gave outputs {outputs.shape} for a window of "
            f"{window.outputs.shape}.",
            "Give one output for each row, NaN where the shadow did not answer.",
        )
    data = profile.facts.description
    _, mine, theirs = np.intersect1d(
        profile.items.astype(str), shadow.items.astype(str), return_indices=True
    )
    if min(int(is_answered(outputs).sum()), len(mine)) < FEWEST_ROWS:
        return None
    share = same_answers(data, window.outputs, outputs)
    usual = same_answers(data, profile.outputs[mine], shadow.outputs[theirs])
    return None if share is None or usual is None else Agreement(share, usual)


def same_answers(
    data: DataDescription, outputs: Outputs, others: Outputs
) -> float | None:
    """The share of items to which two versions give the same answer.

    Args:
        data: of the versions.
        outputs: of one, ``(n, ...)``.
        others: of the other one, likewise; NaN where it did not answer.

    Returns:
        None where it answered nothing, or where answers are numbers.
    """
    answered, judge = is_answered(others), judge_of(data)
    first = judge.choices(outputs[answered])
    if first is None or not len(first):
        return None
    return float((first == judge.choices(others[answered])).mean())
