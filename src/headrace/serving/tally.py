"""What a canary and the champion answered, counted by event."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import numpy.typing as npt

from headrace.records import DataDescription
from headrace.serving.comparing import log_evidence, log_wealth
from headrace.tasks import task
from headrace.tasks.forms import Outputs

WARM_UP = 200  # requests that the champion answers before anything is compared
_MOST_ANSWERS = 20  # that are told apart: the commonest of the warm-up
_BINS = 10  # of answers that are numbers
# An answer is slow if it takes so much longer than any of the champion's first ones.
_SLOW_FACTOR, _SLOW_LEAST_MS = 2.0, 20.0
OTHER = "another answer"


def countable(outputs: Outputs, data: DataDescription) -> float | str:
    """The answer to the first item as a class or a number; of others, their length.

    One that is not finite is `OTHER`.

    Args:
        outputs: ``(n, ...)``.
        data: that the version was trained on.
    """
    if not np.isfinite(outputs[:1]).all():
        return OTHER
    (answer,) = task(data.task).answers.answers(outputs[:1], data)
    if isinstance(answer, float):
        return answer
    if isinstance(answer, str) and answer in data.target.get("classes", ()):
        return answer
    return float(len(answer))  # what somebody said belongs in no message


class Tally:
    """Counts of a canary and the champion, and the evidence that they differ.

    Events are: the answer is one of the commonest (a number: is between two deciles of
    the champion's), is another one, and the answer is slow. The first requests of the
    champion determine the events; then both are counted.

    Args:
        share: of the requests that the canary gets.
        margin: by which the share of an event may differ.

    Attributes:
        requests: of the champion and of the canary, that were counted.
    """

    def __init__(self, share: float, margin: float) -> None:
        self.requests = [0, 0]
        self._share, self.margin = share, margin
        self._first: list[tuple[float | str, float]] = []
        self._edges = np.zeros(0)
        self._places: dict[str, int] = {}
        self._names: list[str] = []
        self._expected = np.zeros(0)
        self._slow_ms = math.inf
        self._counts: list[list[int]] = [[], []]

    def add(self, answer: float | str, latency_ms: float, *, is_canary: bool) -> bool:
        """Count a request; whether it counts.

        Args:
            answer: to its first item; see `countable`.
            latency_ms: of the request.
            is_canary: which of the two answered.
        """
        if not self._names:
            if not is_canary:
                self._first.append((answer, latency_ms))
                if len(self._first) >= WARM_UP:
                    self._begin()
            return False
        if isinstance(answer, str):
            place = self._places.get(answer, len(self._names) - 2)
        else:
            place = int(np.searchsorted(self._edges, answer))
        self._count(place, latency_ms, is_canary)
        return True

    def add_failure(self) -> None:
        """Count a request that the canary has not answered."""
        if self._names:
            self._count(len(self._names) - 2, 0.0, True)

    def log_evidence(self) -> float:
        """The logarithm of the evidence that they differ; 0 during the warm-up."""
        return float(log_evidence(self._wealth())) if self._names else 0.0

    def in_words(self) -> str:
        """The event with the largest evidence, and its shares."""
        wealth = self._wealth()
        place = int(wealth.max(axis=0).argmax())
        champion, canary = (
            counts[place] / max(1, all_)
            for counts, all_ in zip(self._counts, self.requests, strict=True)
        )
        return (
            f"{self._names[place]} in {canary:.1%} of {self.requests[1]:,} requests to "
            f"the canary and {champion:.1%} of {self.requests[0]:,} to the champion"
        )

    def _count(self, place: int, latency_ms: float, is_canary: bool) -> None:
        counts = self._counts[is_canary]
        counts[place] += 1
        if latency_ms > self._slow_ms:
            counts[-1] += 1
        self.requests[is_canary] += 1

    def _begin(self) -> None:
        answers = [answer for answer, _ in self._first]
        slowest = max(latency for _, latency in self._first)
        self._slow_ms = max(_SLOW_FACTOR * slowest, _SLOW_LEAST_MS)
        if numbers := [answer for answer in answers if not isinstance(answer, str)]:
            values = np.array(numbers, np.float64)
            steps = np.linspace(0, 1, _BINS + 1)[1:-1]
            self._edges = edges = np.unique(np.quantile(values, steps))
            bins = np.searchsorted(edges, values)
            shares = np.bincount(bins, minlength=len(edges) + 1) / len(answers)
            bounds = ["", *(f"{edge:.4g}" for edge in edges), ""]
            pairs = itertools.pairwise(bounds)
            names = [f"an answer of {low}..{high}" for low, high in pairs]
        else:
            common = Counter(map(str, answers)).most_common(_MOST_ANSWERS)
            self._places = {answer: i for i, (answer, _) in enumerate(common)}
            shares = np.array([count / len(answers) for _, count in common])
            names = [f"the answer {answer}" for answer, _ in common]
        self._names = [*names, OTHER, f"an answer after {self._slow_ms:.0f} ms"]
        rest = max(0.0, 1 - float(shares.sum()))
        self._expected = np.array([*shares, rest, 0.0])
        self._counts = [[0] * len(self._names) for _ in range(2)]
        self._first.clear()

    def _wealth(self) -> npt.NDArray[np.float64]:
        """Of each bet, ``(2, events)``; none that a canary is slow too rarely."""
        champion, canary = (np.array(counts, float) for counts in self._counts)
        wealth = log_wealth(
            canary,
            champion,
            float(self.requests[1]),
            float(self.requests[0]),
            self._expected,
            self._share,
            self.margin,
        )
        wealth[1, -1] = 0.0
        return wealth
