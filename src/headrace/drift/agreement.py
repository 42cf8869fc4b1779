"""Agreement of two versions on the same items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from headrace.drift.answers import judge_of
from headrace.drift.profile import Profile
from headrace.drift.windows import Window
from headrace.errors import InputError
from headrace.tasks.forms import Outputs

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
    judge = judge_of(profile.facts.description)
    answered = np.isfinite(outputs).all(axis=tuple(range(1, outputs.ndim)))
    _, mine, theirs = np.intersect1d(
        profile.items.astype(str), shadow.items.astype(str), return_indices=True
    )
    first = judge.choices(window.outputs[answered])
    if first is None or min(int(answered.sum()), len(mine)) < FEWEST_ROWS:
        return None
    share = (first == judge.choices(outputs[answered])).mean()
    same = judge.choices(profile.outputs[mine]) == judge.choices(shadow.outputs[theirs])
    return Agreement(float(share), float(same.mean()))
