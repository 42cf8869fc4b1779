"""Tests of a window against a profile: inputs and answers, all of them together."""

from __future__ import annotations

from typing import Literal

from headrace.drift.profile import Profile
from headrace.drift.windows import Window
from headrace.records import Record

ALPHA = 0.05
FEWEST_ITEMS = 20

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
        reference, window: medians, or the share of a flag.
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
        items: rows tested; each item once.
        repeats: rows left out since their items repeat.
        alpha: the chance of any false alarm that all tests share.
        tests: none where there are fewer than ``FEWEST_ITEMS`` items.
    """

    items: int
    repeats: int
    alpha: float
    tests: tuple[ShiftTest, ...]

    def drifted(self, subject: Subject | None = None) -> tuple[ShiftTest, ...]:
        """The significant tests, the largest effect first."""
        raise NotImplementedError

    def severity(self, subject: Subject | None = None) -> Severity:
        """The worst severity of these tests."""
        raise NotImplementedError

    def in_words(self) -> str:
        """One sentence, such as for a terminal."""
        raise NotImplementedError


def compare(profile: Profile, window: Window, alpha: float = ALPHA) -> Comparison:
    """Test whether a window differs from the reference.

    Columns that only one of the two has are not tested. Repeated items count once,
    where digests are known.
    """
    raise NotImplementedError
