"""What the judges of several tasks share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.records import Finding, Metrics
from headrace.tasks.forms import Outputs, Rated, Scores
from headrace.tasks.intervals import wilson_interval

Flags = npt.NDArray[np.bool_]
ENOUGH_ROWS = 50  # of test, for the comparison with a champion
LEAST_VAL_ROWS = 10  # to choose an epoch by


def is_answered(outputs: Outputs) -> npt.NDArray[np.bool_]:
    """Which rows of outputs ``(n, ...)`` have finite ones only, bool ``(n,)``."""
    finite = np.isfinite(outputs)
    return np.asarray(finite.all(axis=tuple(range(1, outputs.ndim))), bool)


def with_ends(name: str, value: float, ends: tuple[float, float]) -> Metrics:
    """A metric by its name, and the ends of its interval."""
    return {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}


def share_of(name: str, right: Scores, confidence: float) -> Metrics:
    """The share of right answers ``(n,)`` by a name, with its Wilson interval."""
    ends = wilson_interval(int(right.sum()), len(right), confidence)
    return with_ends(name, float(right.mean()), ends)


def rate_of(name: str, given: Flags, true: Flags) -> Rated | None:
    """A rate of one of several answers, such as a class; None for any other name.

    Args:
        name: ``recall``, ``precision``, or ``answered`` for its share of all rows.
        given, true: the rows that get and that have it, bool ``(n,)``.
    """
    rates = {
        "recall": Rated(given, true),
        "precision": Rated(true, given),
        "answered": Rated(given, np.ones(len(true), bool)),
    }
    return rates.get(name)


def too_few(rows: int, things: str = "rows") -> list[Finding]:
    """Too few test rows to compare a challenger with a champion, by scores alone.

    Args:
        rows: of test.
        things: what they are, in words.
    """
    if rows >= ENOUGH_ROWS:
        return []
    message = (
        f"{rows:,} test {things} are too few to show that a challenger is no worse "
        f"than the champion, which takes {ENOUGH_ROWS}"
    )
    return [Finding(check="few_rows", split="test", count=rows, message=message)]


def too_few_of_val(rows: int) -> list[Finding]:
    """Too few validation rows to choose an epoch by; nothing where there are none."""
    if not 0 < rows < LEAST_VAL_ROWS:
        return []
    message = (
        f"{rows:,} validation rows are too few to choose the epoch by whose weights "
        f"are kept, which takes {LEAST_VAL_ROWS}"
    )
    return [Finding(check="few_rows", split="val", count=rows, message=message)]


def ranges_of(values: Scores, most: int) -> list[npt.NDArray[np.intp]]:
    """The rows of each range of a number ``(n,)``, in its order.

    Ranges have about as many rows each; rows with one number are in one range.
    """
    if not len(values):
        return []
    order = np.argsort(values, kind="stable")
    parts: list[Any] = np.array_split(values[order], min(most, len(order)))
    starts = np.unique(np.searchsorted(values[order], [part[0] for part in parts]))
    return np.split(order, starts[1:])
