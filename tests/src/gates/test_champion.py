"""The champion's policy: what it decides, and how often it errs, by simulation."""

import functools
import re

import numpy as np
import pytest

from headrace.gates.champion import (
    Challenge,
    Scored,
    champion_gate,
    level_of,
    not_compared,
)
from headrace.gates.paired import Paired, enough_items
from headrace.pipeline import GateSpec

CHAMPION = GateSpec.model_validate({"name": "champion"})
LEVEL, MARGIN = 0.05, 0.005


def judged(mine, its, new, **values):
    """A trial of all rows, whose answers are all finite."""
    every = np.ones(len(mine), bool)
    plain = {
        "own": Scored(mine, every),
        "other": Scored(its, every),
        "champion": 1,
        "compared": every,
        "new": every & new,
    }
    return champion_gate(CHAMPION, Challenge(**plain | values))


def against(rows, better=0, worse=0, *, new=0, **values):
    """A trial of so many rows; the first ``new`` items are new ones.

    Rows that differ are the last ones, so that they are old if any is.
    """
    challenger, champion = np.ones(rows, bool), np.ones(rows, bool)
    champion[rows - better :] = False
    challenger[rows - better - worse : rows - better] = False
    return judged(challenger, champion, np.arange(rows) < new, **values)


def test_without_a_champion_there_is_nothing_to_beat():
    found = not_compared(CHAMPION)
    assert found.passed
    assert found.reason == "there was no champion to compare with"


def test_a_champion_that_cannot_be_compared_with_stays():
    found = not_compared(CHAMPION, "its file is gone")
    assert not found.passed
    assert found.reason == "its file is gone"


def test_the_shares_of_all_attempts_add_up_to_the_level():
    shares = [level_of(attempt, LEVEL) for attempt in range(1, 100_001)]
    assert shares == sorted(shares, reverse=True)
    assert LEVEL * 0.9999 < sum(shares) < LEVEL
    assert shares[0] == pytest.approx(0.01938, abs=1e-5)
    assert shares[1] == pytest.approx(0.00861, abs=1e-5)


@pytest.mark.parametrize(
    ("margin", "level", "rows"),
    [
        (0.005, 0.05, 598),  # ln 0.05 / ln 0.995
        (0.01, 0.05, 299),
        (0.005, level_of(1, 0.05), 787),
        (0.5, 0.05, 5),
        (0.5, 1.0, 1),
        (0.0, 0.05, np.inf),
        (0.005, 0.0, np.inf),
    ],
)
def test_enough_items_are_those_that_can_show_no_worse(margin, level, rows):
    assert enough_items(margin, level) == rows
    if np.isfinite(rows) and level < 0.5:
        assert Paired(int(rows), 0, 0).lower_bound(level) > -margin
        assert Paired(int(rows) - 1, 0, 0).lower_bound(level) <= -margin


def test_on_items_judged_before_it_must_be_significantly_better():
    found, metrics = against(1017, 25, 10, attempt=2)
    assert found.passed
    assert found.kind == "champion"
    assert found.p_value == found.value == pytest.approx(0.00834, abs=1e-5)
    assert found.threshold == level_of(2, LEVEL)
    assert found.compared == f"p(better) 0.008337 < {level_of(2, LEVEL):.4g}"
    assert found.reason == (
        "significantly better than version 1 on 1,017 test items that were judged "
        "before (25 better, 10 worse, p = 0.00834; attempt 2 on them needs p < 0.00861)"
    )
    assert metrics == {
        "champion_p_value": found.p_value,
        "compared_items": 1017,
        "new_items": 0,
    }


def test_a_difference_by_chance_leaves_the_champion():
    found, _ = against(1017, 13, 11)
    assert not found.passed
    assert found.reason.startswith("not significantly better than version 1 on 1,017 ")
    assert "(13 better, 11 worse, p = 0.419; attempt 1 on them" in found.reason


@pytest.mark.parametrize(("attempt", "passed"), [(1, True), (2, True), (3, False)])
def test_later_attempts_on_the_same_items_need_more(attempt, passed):
    found, _ = against(1017, 25, 10, attempt=attempt)
    assert (found.passed, found.threshold) == (passed, level_of(attempt, LEVEL))


def test_on_enough_new_items_no_worse_is_enough():
    found, metrics = against(1200, new=1200)
    assert found.passed
    assert found.threshold == -MARGIN
    assert found.value is not None
    assert found.compared == f"lowest difference {found.value:.4g} > -0.005"
    assert -MARGIN < found.value < 0
    assert found.reason == (
        "no worse than version 1 on 1,200 new test items (0 better, 0 worse; the "
        "difference is at least -0.0033, margin 0.005)"
    )
    assert metrics["new_items"] == 1200


@pytest.mark.parametrize(("new", "passed"), [(786, False), (787, True)])
def test_too_few_new_items_do_not_judge_alone(new, passed):
    found, _ = against(5000, new=new)
    assert found.passed is passed
    if not passed:
        assert "not significantly better" in found.reason
        assert "on 5,000 test items (786 of them new)" in found.reason


def test_ten_equal_answers_show_nothing():
    """A bound of width zero would say that nothing can be lost."""
    assert not against(10, new=10)[0].passed


def test_attempts_on_some_of_the_items_need_more_new_ones():
    assert against(1000, new=1000, attempt=2)[0].passed
    assert not against(1000, new=1000, attempt=3)[0].passed
    assert against(1800, new=1800, attempt=20)[0].passed


def test_new_items_that_show_too_little_say_so():
    found, _ = against(1000, 20, 25, new=1000)
    assert not found.passed
    assert found.reason.startswith(
        "may be worse than version 1: 1,000 new test items (20 better, 25 worse) show "
        "only that the difference is at least -0.0"
    )
    assert "and not significantly better than version 1 on 1,000 test" in found.reason


def test_significantly_better_on_all_items_is_enough_where_new_ones_show_little():
    challenger, champion = np.ones(6000, bool), np.ones(6000, bool)
    champion[:40] = False
    challenger[1000:1020] = False  # 20 new items worse, 20 better, and 20 old ones
    champion[1020:1060] = False
    new = np.arange(6000) < 1020
    new[:20] = False
    found, _ = judged(challenger, champion, new)
    assert found.passed
    assert "significantly better than version 1 on 6,000" in found.reason


def test_the_attack_by_alternating_data_is_refused():
    """One new row among 10,000, 152 rows lost and none won: it was promoted once."""
    found, _ = against(10_000, 0, 152, new=1)
    assert not found.passed
    assert found.reason.startswith(
        "significantly worse than version 1 on 10,000 test items (0 better, 152 worse"
    )


def test_easy_new_items_do_not_hide_what_is_lost_on_old_ones():
    found, _ = against(10_000, 0, 152, new=5000)
    assert not found.passed
    assert "significantly worse than version 1 on 10,000 test items" in found.reason
    assert re.fullmatch(r"p\(worse\) \S+e-\d+ >= 0.05", found.compared)


def test_rows_that_a_model_learned_from_do_not_count():
    challenger, champion = np.ones(100, bool), np.ones(100, bool)
    champion[:50] = False
    half = np.arange(100) >= 50
    found, metrics = judged(challenger, champion, False, compared=half)
    assert (found.passed, metrics["compared_items"]) == (False, 50)
    nothing, _ = judged(challenger, champion, False, compared=~challenger)
    assert (nothing.passed, nothing.value) == (False, None)
    assert "no test item is left to compare with version 1" in nothing.reason


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("kind", [bool, float])
def test_a_challenger_with_an_answer_that_is_no_number_is_not_promoted(kind, new):
    """Whatever its score says, and whatever was right besides."""
    rows = 1_000
    champion, answered = np.ones(rows, kind), np.arange(rows) < rows - 8
    champion[:300] = 0
    challenger = np.where(answered, 1, 0).astype(kind)
    found, _ = judged(challenger, champion, new, own=Scored(challenger, answered))
    assert (found.passed, found.value, found.threshold) == (False, 8, 0)
    assert found.reason == (
        "no finite score for its answers to 8 test items, where version 1 has one"
    )
    assert judged(challenger, champion, new)[0].passed


@pytest.mark.parametrize("kind", [bool, float])
def test_items_that_neither_model_answers_with_numbers_show_nothing(kind):
    rows, answered = 1_000, np.arange(1_000) < 40
    scores = np.ones(rows, kind)
    scores[~answered] = np.nan if kind is float else False
    alike = Scored(scores, answered)
    found, metrics = judged(scores, scores, True, own=alike, other=alike)
    assert not found.passed
    assert metrics["new_items"] == 40
    none = Scored(scores, np.zeros(rows, bool))
    found, _ = judged(scores, scores, True, own=none, other=none)
    assert not found.passed
    assert found.reason.endswith("or neither has a finite score")


def test_what_weakens_a_comparison_is_said():
    found, _ = against(100, 20, notes=("the training data of version 1 is gone",))
    assert found.passed
    assert found.reason.endswith("; the training data of version 1 is gone")


@functools.cache
def p_better(better, worse):
    return Paired(better + worse, better, worse).p_better


def equal_challengers(random, rows, hard, count):
    """A champion ``(rows,)`` and equal challengers ``(count, rows)``.

    All have the easy items right, and each hard one with a chance of its own, so that
    their mistakes are alike, as those of seeds are.
    """
    chance = np.where(random.random(rows) < hard, random.random(rows), 1.0)
    return random.random(rows) < chance, random.random((count, rows)) < chance


@pytest.mark.parametrize(("rows", "hard"), [(300, 0.3), (1000, 0.1), (1000, 0.5)])
def test_of_20_equal_challengers_5_percent_at_most_are_promoted(rows, hard):
    """All fight the same champion on the same items: the champion may be unlucky."""
    random, worlds, attempts = np.random.default_rng(13), 3000, 20
    false, false_when_divided = 0, 0
    for _ in range(worlds):
        champion, challengers = equal_challengers(random, rows, hard, attempts)
        better = (challengers & ~champion).sum(axis=1)
        worse = (champion & ~challengers).sum(axis=1)
        chances = [p_better(*n) for n in zip(better, worse, strict=True)]
        numbered = list(enumerate(chances, start=1))
        false += any(p < level_of(k, LEVEL) for k, p in numbered)
        false_when_divided += any(p < LEVEL / k for k, p in numbered)
    error = (LEVEL * (1 - LEVEL) / worlds) ** 0.5
    assert false / worlds <= LEVEL + 3 * error
    # What was done before, a share of 0.05 / k each, does not hold the level.
    assert false_when_divided / worlds > LEVEL + 3 * error


def test_the_gate_decides_as_the_simulation_does():
    random = np.random.default_rng(5)
    decisions = set()
    for _ in range(60):
        champion, challengers = equal_challengers(random, 300, 0.3, 4)
        challengers[3] |= random.random(300) < 0.5  # one that is better
        for attempt, challenger in enumerate(challengers, start=1):
            found, _ = judged(challenger, champion, False, attempt=attempt)
            counts = Paired.of(challenger, champion, np.ones(300, bool))
            chance = p_better(counts.better, counts.worse)
            assert found.passed is (chance < level_of(attempt, LEVEL))
            decisions.add(found.passed)
    assert decisions == {True, False}


@pytest.mark.parametrize("rows", [1000, 5000])
def test_one_that_is_worse_by_the_margin_is_rarely_promoted_on_new_items(rows):
    """4,000 first attempts: what each promotion may lose, and how often it does."""
    random, draws, promoted = np.random.default_rng(1), 4000, 0
    for _ in range(draws):
        hard = random.random(rows) < 0.02
        own, other = (
            random.random(rows) < np.where(hard, 0.6 - loss / 0.02, 1.0)
            for loss in (MARGIN, 0.0)
        )
        promoted += judged(own, other, True)[0].passed
    level = level_of(1, LEVEL)
    assert promoted / draws <= level + 3 * (level * (1 - level) / draws) ** 0.5


def test_a_thousand_alternations_change_nothing():
    """Two data sets that differ by one row: after the first two no item is new."""
    random, rows = np.random.default_rng(3), 2000
    shared = random.random(rows + 1) < 0.99
    promoted = 0
    for attempt in range(1, 1001):
        challenger = shared & (random.random(rows + 1) < 0.9985)  # 0.15 points worse
        used = np.arange(rows + 1) != (rows if attempt % 2 else 0)
        is_new = (np.arange(rows + 1) == rows) & (attempt == 2)
        found, _ = judged(challenger, shared, is_new, compared=used, attempt=attempt)
        promoted += found.passed
    assert promoted == 0
