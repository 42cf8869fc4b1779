"""Events of answers: classes, numbers, and answers that come late."""

import numpy as np
import pytest

from headrace.records import DataDescription
from headrace.serving.comparing import is_shown
from headrace.serving.tally import OTHER, WARM_UP, Tally, countable

LEVEL = 0.01


def warm(tally, answers, latency_ms=1.0):
    for number in range(WARM_UP):
        assert not tally._names
        answer = answers[number % len(answers)]
        assert not tally.add(answer, latency_ms, is_canary=False)
    assert tally._names
    assert tally.requests == [0, 0]


def test_nothing_counts_during_the_warm_up():
    tally = Tally(0.5, 0.05)
    for _ in range(500):
        assert not tally.add("0", 1.0, is_canary=True)
    tally.add_failure()
    assert not tally._names
    assert tally.log_evidence() == 0
    warm(tally, ["0", "1"])
    assert tally.log_evidence() == 0


def test_equal_answers_are_no_evidence():
    tally = Tally(0.5, 0.05)
    warm(tally, ["0", "1"])
    for number in range(2000):
        assert tally.add(str(number // 2 % 2), 1.0, is_canary=bool(number % 2))
    assert tally.requests == [1000, 1000]
    assert tally.log_evidence() < 1


def test_another_answer_is_shown_and_told():
    tally = Tally(0.5, 0.05)
    warm(tally, ["0", "1"])
    for number in range(400):
        tally.add(str(number // 2 % 2), 1.0, is_canary=False)
        tally.add("1", 1.0, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL)
    assert tally.in_words() in {
        "the answer 1 in 100.0% of 400 requests to the canary and 50.0% of 400 to the "
        "champion",
        "the answer 0 in 0.0% of 400 requests to the canary and 50.0% of 400 to the "
        "champion",
    }


def test_an_answer_that_the_champion_did_not_give_first_is_another_one():
    tally = Tally(0.5, 0.05)
    warm(tally, ["0"])
    for _ in range(300):
        tally.add("0", 1.0, is_canary=False)
        tally.add("2", 1.0, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL)


def test_many_classes_are_told_apart_by_the_commonest():
    tally = Tally(0.5, 0.05)
    warm(tally, [str(i) for i in range(0, 1000, 7)])
    for number in range(300):
        tally.add(str(number * 7 % 1000), 1.0, is_canary=False)
        tally.add("0", 1.0, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL)
    assert "the answer 0" in tally.in_words() or "another answer" in tally.in_words()


def test_numbers_are_compared_by_the_champions_tenths():
    random = np.random.default_rng(0)
    same, shifted = Tally(0.5, 0.05), Tally(0.5, 0.05)
    first = [value for value in random.normal(10, 2, WARM_UP)]
    warm(same, first)
    warm(shifted, first)
    for value in random.normal(10, 2, 2000):
        is_canary = bool(random.random() < 0.5)
        same.add(value, 1.0, is_canary=is_canary)
        shifted.add(value + 4 * is_canary, 1.0, is_canary=is_canary)
    assert not is_shown(same.log_evidence(), LEVEL)
    assert is_shown(shifted.log_evidence(), LEVEL)
    assert "an answer of " in shifted.in_words()


def test_answers_that_are_not_finite_hide_no_difference():
    """One of NaN among the champion's first, and a canary that gives many."""
    data = DataDescription(medium="image", shape=(1,), task="regression")
    number = countable(np.float32([[np.nan]]), data)
    assert number == countable(np.float32([[np.inf]]), data) == OTHER
    classes = DataDescription(medium="image", shape=(1,), classes=("a", "b"))
    assert countable(np.float32([[np.nan, np.nan]]), classes) == OTHER
    random = np.random.default_rng(0)
    tally = Tally(0.5, 0.05)
    warm(tally, [number, *random.normal(10, 2, WARM_UP - 1)])
    for value in random.normal(10, 2, 2000):
        is_canary = bool(random.random() < 0.5)
        lost = is_canary and random.random() < 0.3
        tally.add(number if lost else value, 1.0, is_canary=is_canary)
    assert is_shown(tally.log_evidence(), LEVEL)
    assert OTHER in tally.in_words()


def test_a_constant_number_has_one_place():
    tally = Tally(0.5, 0.05)
    warm(tally, [1.0])
    for _ in range(200):
        tally.add(1.0, 1.0, is_canary=False)
        tally.add(1.0, 1.0, is_canary=True)
    assert tally.log_evidence() < 1


@pytest.mark.parametrize(
    ("champion_ms", "canary_ms", "is_ended"),
    [(1.0, 15.0, False), (1.0, 60.0, True), (60.0, 1.0, False), (30.0, 55.0, False)],
)
def test_a_slow_canary_is_shown(champion_ms, canary_ms, is_ended):
    tally = Tally(0.5, 0.05)
    warm(tally, ["0", "1"], champion_ms)
    for number in range(1000):
        answer = str(number // 2 % 2)
        tally.add(answer, champion_ms, is_canary=False)
        tally.add(answer, canary_ms, is_canary=True)
    assert is_shown(tally.log_evidence(), LEVEL) == is_ended
    if is_ended:
        assert tally.in_words().startswith("an answer after 20 ms in 100.0% of 1,000")


def test_requests_that_the_canary_fails_are_another_answer():
    tally = Tally(0.5, 0.05)
    warm(tally, ["0", "1"])
    for number in range(600):
        tally.add(str(number % 2), 1.0, is_canary=False)
        tally.add_failure()
    assert is_shown(tally.log_evidence(), LEVEL)
    assert tally.requests == [600, 600]


def of(task, **more):
    return DataDescription(
        medium="audio", task=task, shape=(8,), sample_rate_hz=8, **more
    )


def test_the_answers_of_each_task_can_be_counted():
    classes = of("classification", target={"classes": ["b", "a"]})
    assert countable(np.array([[0.2, 0.8]], np.float32), classes) == "a"
    assert countable(np.array([[3.5]], np.float32), of("regression")) == 3.5
    nats = np.array([[12.0, 4.0]], np.float32)
    assert countable(nats, of("generation")) == 3.0
    words = of("transcription", target={"tokens": ["no", "yes"], "unit": "words"})
    steps = np.eye(3, dtype=np.float32)[[[1, 2, 0]]]
    assert countable(steps, words) == len("yes no"), "what was said is not told"
    sound = np.array([[0.5, 0.25, 0, 0, 0, 0, 0, 0]], np.float32)
    assert countable(sound, of("synthesis")) == 2.0
