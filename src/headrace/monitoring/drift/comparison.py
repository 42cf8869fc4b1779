"""Tests of a window against a profile: inputs and answers, all of them together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.display.signs import number_of
from headrace.monitoring.drift.answers import judge_of
from headrace.monitoring.drift.profile import Profile
from headrace.monitoring.drift.windows import Window
from headrace.records import Record
from headrace.tasks.forms import some
from headrace.tasks.samples import Result, holm, same_distribution, same_shares

ALPHA = 0.05
FEWEST_ITEMS = 20
MOST_OUTPUTS = 20
# Two normal distributions that differ by half of a standard deviation have a distance
# of 0.2; by one, of 0.38.
CLEAR, STRONG = 0.2, 0.4

Severity = Literal["none", "slight", "clear", "strong"]
Subject = Literal["inputs", "answers"]


class ShiftTest(Record):
    """One test of one column or output.

    Attributes:
        subject: inputs or answers.
        name: of the column, such as ``mean`` or ``probability of 3``.
        test: Kolmogorov-Smirnov, Fisher or chi-squared.
        effect: 0..1, the largest difference of the distribution functions, of the
            shares of a flag, or half the summed differences of the shares of answers.
        p_value, adjusted: before and after Holm's correction for all tests.
        reference, window: medians, or the share of a flag; 0 for chi-squared.
        severity: by the effect; none where the test is not significant.
    """

    subject: Subject
    name: str
    test: str
    effect: float
    p_value: float
    adjusted: float
    reference: float
    window: float
    severity: Severity

    @property
    def drifted(self) -> bool:
        """Whether it is significant."""
        return self.severity != "none"


class Comparison(Record):
    """All tests of a window, by subject and then by descending effect.

    Attributes:
        items: rows tested.
        alpha: the chance of any false alarm that all tests share.
        tests: none where there are fewer than ``FEWEST_ITEMS`` items.
    """

    items: int
    alpha: float
    tests: tuple[ShiftTest, ...]

    def drifted(self, subject: Subject | None = None) -> tuple[ShiftTest, ...]:
        """The significant tests, the largest effect first."""
        chosen = [t for t in self.tests if t.drifted and subject in (None, t.subject)]
        return tuple(sorted(chosen, key=lambda test: -test.effect))

    def severity(self, subject: Subject | None = None) -> Severity:
        """The worst severity of these tests."""
        drifted = self.drifted(subject)
        return severity_of(drifted[0].effect) if drifted else "none"

    def in_words(self) -> str:
        """One sentence, such as for a terminal."""
        if not self.tests:
            items = number_of(self.items, "items")
            verb = "is" if self.items == 1 else "are"
            return f"{items} {verb} too few to test; {FEWEST_ITEMS} are needed"
        parts = []
        for subject in ("inputs", "answers"):
            drifted = self.drifted(subject)
            names = some([test.name for test in drifted], 3)
            drift = (
                f"{self.severity(subject)} drift ({names})" if drifted else "no drift"
            )
            parts.append(f"{subject}: {drift}")
        return f"{', '.join(parts)} in {number_of(self.items, 'items')}"


def severity_of(effect: float) -> Severity:
    """The severity of a significant effect."""
    if effect < CLEAR:
        return "slight"
    return "clear" if effect < STRONG else "strong"


def compare(profile: Profile, window: Window, alpha: float = ALPHA) -> Comparison:
    """Test whether a window differs from the reference.

    Columns that only one of the two has are not tested.
    """
    tests: tuple[ShiftTest, ...] = ()
    if len(window) >= FEWEST_ITEMS:
        tests = _corrected(list(_uncorrected(profile, window)), alpha)
    return Comparison(items=len(window), alpha=alpha, tests=tests)


def _uncorrected(profile: Profile, window: Window) -> Iterator[ShiftTest]:
    """All tests, with p-values that are not corrected."""
    data, judge = profile.facts.description, judge_of(profile.facts.description)
    for name, values in profile.columns.items():
        if name in window.columns:
            yield from _of_one("inputs", name, values, window.columns[name])
    reference = judge.monitored(profile.outputs, data)
    answered = judge.monitored(window.outputs, data)
    # The others are rare; the test of the answers has them all.
    common = sorted(reference, key=lambda name: -reference[name].mean())
    for name in common[:MOST_OUTPUTS]:
        yield from _of_one("answers", name, reference[name], answered[name])
    choices = judge.choices(profile.outputs)
    if choices is not None:
        result = same_shares(choices, judge.choices(window.outputs))
        if result:
            yield _test("answers", "answers", "chi-squared", result, (0.0, 0.0))


def _of_one(
    subject: Subject,
    name: str,
    reference: npt.NDArray[Any],
    window: npt.NDArray[Any],
) -> Iterator[ShiftTest]:
    """The test of one column; none where all values of both samples are equal."""
    result = same_distribution(reference, window)
    if result is None:
        return
    if reference.dtype == bool:
        middles = float(reference.mean()), float(window.mean())
    else:
        middles = float(np.median(reference)), float(np.median(window))
    kind = "Fisher" if reference.dtype == bool else "Kolmogorov-Smirnov"
    yield _test(subject, name, kind, result, middles)


def _test(
    subject: Subject, name: str, kind: str, result: Result, middles: tuple[float, float]
) -> ShiftTest:
    return ShiftTest(
        subject=subject,
        name=name,
        test=kind,
        effect=result.effect,
        p_value=result.p_value,
        adjusted=1.0,
        reference=middles[0],
        window=middles[1],
        severity="none",
    )


def _corrected(tests: list[ShiftTest], alpha: float) -> tuple[ShiftTest, ...]:
    adjusted = holm([test.p_value for test in tests])
    finished = [
        test.model_copy(
            update={
                "adjusted": p_value,
                "severity": severity_of(test.effect) if p_value < alpha else "none",
            }
        )
        for test, p_value in zip(tests, adjusted, strict=True)
    ]
    order = {"inputs": 0, "answers": 1}
    return tuple(sorted(finished, key=lambda t: (order[t.subject], -t.effect)))
