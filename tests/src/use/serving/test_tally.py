"""Events of answers: classes, numbers, and answers that come late."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from headrace.use.serving.comparing import is_shown
from headrace.use.serving.tally import WARM_UP, Tally

Outputs = npt.NDArray[np.float32]
LEVEL = 0.01


def classes(answer: int, width: int = 3) -> Outputs:
    return np.eye(width, dtype=np.float32)[[answer]]


def numbers(value: float) -> Outputs:
    return np.array([[value]], np.float32)


def warm(tally: Tally, outputs: list[Outputs], latency_ms: float = 1.0) -> None:
    for number in range(WARM_UP):
        assert not tally._names
        answer = outputs[number % len(outputs)]
        assert not tally.add(answer, latency_ms, is_canary=False)
    assert tally._names
    assert tally.requests == [0, 0]


def test_nothing_counts_during_the_warm_up() -> None:
    tally = Tally(0.5, 0.05)
    for _ in range(500):
        assert not tally.add(classes(0), 1.0, is_canary=True)
    tally.add_failure()
    assert not tally._names
    assert tally.log_evidence() == 0
    warm(tally, [classes(0), classes(1)])
    assert tally.log_evidence() == 0


def test_equal_answers_are_no_evidence() -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [classes(0), classes(1)])
    for number in range(2000):
        assert tally.add(classes(number // 2 % 2), 1.0, is_canary=bool(number % 2))
    assert tally.requests == [1000, 1000]
    assert tally.log_evidence() < 1


def test_another_answer_is_shown_and_told() -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [classes(0), classes(1)])
    for number in range(400):
        tally.add(classes(number // 2 % 2), 1.0, is_canary=False)
        tally.add(classes(1), 1.0, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL)
    assert tally.in_words() in {
        "the answer 1 in 100.0% of 400 requests to the canary and 50.0% of 400 to the "
        "champion",
        "the answer 0 in 0.0% of 400 requests to the canary and 50.0% of 400 to the "
        "champion",
    }


def test_an_answer_that_the_champion_did_not_give_first_is_another_one() -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [classes(0)])
    for _ in range(300):
        tally.add(classes(0), 1.0, is_canary=False)
        tally.add(classes(2), 1.0, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL)


def test_many_classes_are_told_apart_by_the_commonest() -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [classes(i, 1000) for i in range(0, 1000, 7)])
    for number in range(300):
        tally.add(classes(number * 7 % 1000, 1000), 1.0, is_canary=False)
        tally.add(classes(0, 1000), 1.0, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL)
    assert "the answer 0" in tally.in_words() or "another answer" in tally.in_words()


def test_numbers_are_compared_by_the_champions_tenths() -> None:
    random = np.random.default_rng(0)
    same, shifted = Tally(0.5, 0.05), Tally(0.5, 0.05)
    first = [numbers(value) for value in random.normal(10, 2, WARM_UP)]
    warm(same, first)
    warm(shifted, first)
    for value in random.normal(10, 2, 2000):
        is_canary = bool(random.random() < 0.5)
        same.add(numbers(value), 1.0, is_canary=is_canary)
        shifted.add(numbers(value + 4 * is_canary), 1.0, is_canary=is_canary)
    assert not is_shown(same.log_evidence(), LEVEL)
    assert is_shown(shifted.log_evidence(), LEVEL)
    assert "an answer of " in shifted.in_words()


def test_a_constant_number_has_one_place() -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [numbers(1.0)])
    for _ in range(200):
        tally.add(numbers(1.0), 1.0, is_canary=False)
        tally.add(numbers(1.0), 1.0, is_canary=True)
    assert tally.log_evidence() < 1


@pytest.mark.parametrize(
    ("champion_ms", "canary_ms", "is_ended"),
    [(1.0, 15.0, False), (1.0, 60.0, True), (60.0, 1.0, False), (30.0, 55.0, False)],
)
def test_a_slow_canary_is_shown(
    champion_ms: float, canary_ms: float, is_ended: bool
) -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [classes(0), classes(1)], champion_ms)
    for number in range(1000):
        answer = classes(number // 2 % 2)
        tally.add(answer, champion_ms, is_canary=False)
        tally.add(answer, canary_ms, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL) == is_ended
    if is_ended:
        assert tally.in_words().startswith("an answer after 20 ms in 100.0% of 1,000")


def test_requests_that_the_canary_fails_are_another_answer() -> None:
    tally = Tally(0.5, 0.05)
    warm(tally, [classes(0), classes(1)])
    for number in range(600):
        tally.add(classes(number % 2), 1.0, is_canary=False)
        tally.add_failure()
    assert is_shown(tally.log_evidence(), LEVEL)
    assert tally.requests == [600, 600]
