"""Tests of a window against a profile: inputs and answers, all of them together.

Numbers take the two-sample Kolmogorov-Smirnov test, flags Fisher's exact test, and the
shares of answers a chi-squared test. All of them share one level by Holm's correction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.display.signs import number_of
from headrace.media.forms import Columns
from headrace.monitoring.profiles import Profile
from headrace.monitoring.records import Severity, Shift, drifted
from headrace.tasks import task
from headrace.tasks.forms import Outputs, some
from headrace.tasks.judging import is_answered
from headrace.tasks.samples import Result, holm, same_distribution, same_shares

ALPHA = 0.05
FEWEST_ITEMS = 20
MOST_OUTPUTS = 20
# Two normal distributions that differ by half of a standard deviation have a distance
# of 0.2; by one, of 0.38.
CLEAR, STRONG = 0.2, 0.4


class Comparison(NamedTuple):
    """The tests of a window, those with the largest effect first.

    Attributes:
        inputs: of the medium's columns.
        answers: of the version's outputs, and of the shares of answers.
    """

    inputs: tuple[Shift, ...]
    answers: tuple[Shift, ...]

    def drifted(self) -> tuple[Shift, ...]:
        """The significant tests, the largest effect first."""
        return drifted((*self.inputs, *self.answers))

    def in_words(self) -> str:
        """One clause, such as for a terminal."""
        parts = []
        for subject, shifts in zip(self._fields, self, strict=True):
            found = drifted(shifts)
            names = some([shift.column for shift in found], 3)
            drift = f"{found[0].severity} drift ({names})" if found else "no drift"
            parts.append(f"{subject}: {drift}")
        return ", ".join(parts)


class _Test(NamedTuple):
    """One test before the correction; the last two are medians, or shares of a flag."""

    name: str
    result: Result
    reference: float = 0.0
    window: float = 0.0


def compare(
    profile: Profile, columns: Columns, outputs: Outputs, alpha: float = ALPHA
) -> Comparison:
    """Test whether a window differs from the reference.

    Values that are not finite are left out of the test of their column; their share is
    tested by itself. A test takes repeated items for independent ones.

    Args:
        profile: of the version.
        columns: of the items by name, ``(n,)`` each. Those that only one of the two has
            are not tested.
        outputs: of the version, ``(n, ...)``.
        alpha: the chance of any false alarm that all tests share.
    """
    inputs = list(_of_inputs(profile, columns))
    answers = list(_of_answers(profile, outputs))
    adjusted = holm([test.result.p_value for test in (*inputs, *answers)])
    shifts = [
        _shift(test, p_value, alpha)
        for test, p_value in zip((*inputs, *answers), adjusted, strict=True)
    ]
    count = len(inputs)
    return Comparison(_ranked(shifts[:count]), _ranked(shifts[count:]))


def too_few(count: int) -> str:
    """A clause on a window of too few items."""
    verb = "is" if count == 1 else "are"
    items = number_of(count, "different items")
    return f"{items} {verb} too few to test: {FEWEST_ITEMS} are needed"


def _of_inputs(profile: Profile, columns: Columns) -> Iterator[_Test]:
    for name, reference in profile.columns.items():
        if name in columns:
            window = columns[name]
            if reference.dtype == bool:  # of a log, which has numbers only
                window = window.astype(bool)
            yield from _of_one(name, reference, window)


def _of_answers(profile: Profile, outputs: Outputs) -> Iterator[_Test]:
    data = profile.facts.description
    judge = task(data.task).judge
    known = is_answered(profile.outputs), is_answered(outputs)
    if not (known[0].all() and known[1].all()):
        yield from _of_one("answers not finite", ~known[0], ~known[1])
    before, after = profile.outputs[known[0]], outputs[known[1]]
    if not len(before) or not len(after):
        return
    reference, window = judge.monitored(before, data), judge.monitored(after, data)
    # The others are rare; the test of the answers has them all.
    common = sorted(reference, key=lambda name: -reference[name].mean())
    for name in common[:MOST_OUTPUTS]:
        yield from _of_one(name, reference[name], window[name])
    choices = judge.choices(before)
    if choices is not None:
        result = same_shares(choices, judge.choices(after))
        if result is not None:
            yield _Test("answers", result)


def _of_one(
    name: str, reference: npt.NDArray[Any], window: npt.NDArray[Any]
) -> Iterator[_Test]:
    """The test of one column, and of the values that are not finite, if any are."""
    known = np.isfinite(reference), np.isfinite(window)
    if not (known[0].all() and known[1].all()):
        yield from _of_one(f"{name} not finite", ~known[0], ~known[1])
    values = reference[known[0]], window[known[1]]
    result = same_distribution(*values)
    if result is None:  # all values of both samples are equal
        return
    middle = np.mean if reference.dtype == bool else np.median
    yield _Test(name, result, *(float(middle(part)) for part in values))


def _shift(test: _Test, p_value: float, alpha: float) -> Shift:
    effect = test.result.effect
    return Shift(
        column=test.name,
        p_value=p_value,
        effect=effect,
        severity=_severity_of(effect) if p_value < alpha else "none",
        reference=test.reference,
        window=test.window,
    )


def _severity_of(effect: float) -> Severity:
    """The severity of a significant effect."""
    if effect < CLEAR:
        return "slight"
    return "clear" if effect < STRONG else "strong"


def _ranked(shifts: list[Shift]) -> tuple[Shift, ...]:
    return tuple(sorted(shifts, key=lambda shift: -shift.effect))
