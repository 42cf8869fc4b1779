"""The champion's policy: what it decides, and how often it errs, by simulation."""

import dataclasses
import functools
import re

import numpy as np
import numpy.typing as npt
import pytest

from headrace.gates.champion import (
    Challenge,
    Opponent,
    champion_gate,
    level_of,
    not_compared,
)
from headrace.gates.paired import Paired, enough_items
from headrace.pipeline import GateSpec

CHAMPION = GateSpec.model_validate({"name": "champion"})
LEVEL, MARGIN = 0.05, 0.005
Rows = npt.NDArray[np.bool_]


def opponent(right, version=1, compared=None):
    every = np.ones(len(right), bool)
    return Opponent(version, right, every if compared is None else compared)


def against(rows, better=0, worse=0, *, new=0, **values):
    """A trial of so many rows; the first ``new`` items are new ones.

    Rows that differ are the last ones, so that they are old if any is.
    """
    challenger, champion = np.ones(rows, bool), np.ones(rows, bool)
    champion[rows - better :] = False
    challenger[rows - better - worse : rows - better] = False
    is_new = np.arange(rows) < new
    return champion_gate(
        CHAMPION, Challenge(challenger, is_new, opponent(champion), **values)
    )


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
    assert metrics["attempt_on_new_items"] == 1


@pytest.mark.parametrize(("new", "passed"), [(786, False), (787, True)])
def test_too_few_new_items_do_not_judge_alone(new, passed):
    found, metrics = against(5000, new=new)
    assert found.passed is passed
    assert ("attempt_on_new_items" in metrics) is passed
    if not passed:
        assert "not significantly better" in found.reason
        assert "on 5,000 test items (786 of them new)" in found.reason


def test_ten_equal_answers_show_nothing():
    """A bound of width zero would say that nothing can be lost."""
    assert not against(10, new=10)[0].passed


def test_many_attempts_on_new_items_share_the_level_too():
    assert against(1000, new=1000, attempt_on_new=2)[0].passed
    assert not against(1000, new=1000, attempt_on_new=3)[0].passed
    assert against(1800, new=1800, attempt_on_new=20)[0].passed


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
    found, _ = champion_gate(CHAMPION, Challenge(challenger, new, opponent(champion)))
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


def test_it_must_hold_against_the_best_former_champion_as_well():
    rows = 20_000
    champion, best = np.ones(rows, bool), np.ones(rows, bool)
    challenger = np.ones(rows, bool)
    challenger[:100] = champion[:60] = False  # 0.5 points below the best
    every = np.ones(rows, bool)
    alone, _ = champion_gate(
        CHAMPION, Challenge(challenger, every, opponent(champion, 7))
    )
    assert not alone.passed  # 40 worse, 0 better
    champion[:100] = False
    alone, _ = champion_gate(
        CHAMPION, Challenge(challenger, every, opponent(champion, 7))
    )
    assert alone.passed
    both, metrics = champion_gate(
        CHAMPION,
        Challenge(challenger, every, opponent(champion, 7), opponent(best, 3)),
    )
    assert not both.passed
    assert "worse than version 3, the best former champion, on 20,000" in both.reason
    assert metrics["best_p_value"] == 1


def test_both_are_named_where_it_holds_against_both():
    rows = np.ones(2000, bool)
    trial = Challenge(rows, rows, opponent(rows, 7), opponent(rows, 3))
    found, _ = champion_gate(CHAMPION, trial)
    assert found.passed
    assert "than version 7 on 2,000 new test items" in found.reason
    assert "and than version 3, the best former champion, on 2,000" in found.reason


def test_rows_that_a_model_learned_from_do_not_count():
    challenger, champion = np.ones(100, bool), np.ones(100, bool)
    champion[:50] = False
    half = np.arange(100) >= 50
    found, metrics = champion_gate(
        CHAMPION,
        Challenge(challenger, ~challenger, opponent(champion, compared=half)),
    )
    assert (found.passed, metrics["compared_items"]) == (False, 50)
    nothing, _ = champion_gate(
        CHAMPION,
        Challenge(challenger, ~challenger, opponent(champion, compared=~challenger)),
    )
    assert (nothing.passed, nothing.value) == (False, None)
    assert "no test item is left to compare with version 1" in nothing.reason


def test_rows_that_left_the_data_count_for_being_better_alone():
    """Else whoever leaves out the rows that a challenger lost makes it better."""
    challenger, champion = np.ones(1017, bool), np.ones(1017, bool)
    champion[:13] = challenger[13:24] = False
    gone = np.arange(1017)
    vanished = (gone >= 13) & (gone < 24)
    none = np.zeros(1017, bool)
    old = Challenge(challenger, none, opponent(champion), vanished=vanished)
    found, metrics = champion_gate(CHAMPION, old)
    assert not found.passed
    assert (found.p_value, metrics["compared_items"]) == (
        pytest.approx(0.419, abs=1e-3),
        1017,
    )
    assert "on 1,017 test items (11 of them no longer in the data)" in found.reason
    chosen = Challenge(challenger, none, opponent(champion, compared=~vanished))
    assert champion_gate(CHAMPION, chosen)[0].passed, "0.0001 without them"
    lost = dataclasses.replace(chosen, unanswered=11)
    assert champion_gate(CHAMPION, lost)[0].p_value == found.p_value


@pytest.mark.parametrize("gone", [0, 8])
@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("kind", [bool, float])
def test_a_challenger_with_an_answer_that_is_no_number_is_not_promoted(kind, gone, new):
    """Whatever its score says, and whatever was right besides."""
    rows = 1_000
    champion, answered = np.ones(rows, kind), np.arange(rows) < rows - 8
    champion[:300] = 0
    challenger = np.where(answered, 1, 0).astype(kind)
    is_gone = np.arange(rows) >= rows - gone
    trial = Challenge(
        *(challenger, np.full(rows, new), opponent(champion)),
        vanished=is_gone,
        answered=answered,
    )
    found, _ = champion_gate(CHAMPION, trial)
    assert (found.passed, found.value, found.threshold) == (False, 8, 0)
    assert found.reason.startswith("no finite score for its answers to 8 test items")
    assert ("(8 of them no longer in the data)" in found.reason) == bool(gone)
    sound = dataclasses.replace(trial, answered=None)
    assert champion_gate(CHAMPION, sound)[0].passed


@pytest.mark.parametrize("kind", [bool, float])
def test_items_that_neither_model_answers_with_numbers_show_nothing(kind):
    rows, answered = 1_000, np.arange(1_000) < 40
    scores, every = np.ones(rows, kind), np.ones(rows, bool)
    scores[~answered] = np.nan if kind is float else False
    alike = Opponent(1, scores, every, answered)
    found, metrics = champion_gate(
        CHAMPION, Challenge(scores, every, alike, answered=answered)
    )
    assert not found.passed
    assert metrics["new_items"] == 40
    none = np.zeros(rows, bool)
    nothing = Challenge(
        scores, every, dataclasses.replace(alike, answered=none), answered=none
    )
    found, _ = champion_gate(CHAMPION, nothing)
    assert not found.passed
    assert found.reason.endswith("or neither has a finite score")


def test_rows_that_left_the_data_do_not_stand_against_no_worse():
    """Data that was replaced may have changed what is asked."""
    rows = np.arange(1100)
    challenger, champion, vanished = rows < 1000, rows >= 0, rows >= 1000
    trial = Challenge(challenger, ~vanished, opponent(champion), vanished=vanished)
    found, _ = champion_gate(CHAMPION, trial)
    assert found.passed
    assert found.reason.startswith("no worse than version 1 on 1,000 new test items")


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
            trial = Challenge(
                challenger, np.zeros(300, bool), opponent(champion), attempt=attempt
            )
            found, _ = champion_gate(CHAMPION, trial)
            counts = Paired.of(challenger, champion, np.ones(300, bool))
            chance = p_better(counts.better, counts.worse)
            assert found.passed is (chance < level_of(attempt, LEVEL))
            decisions.add(found.passed)
    assert decisions == {True, False}


class Race:
    """Challengers one after another, each on test items that nobody has seen.

    The worst case: no item is ever old, and every challenger is a little worse than the
    champion it fights.
    """

    def __init__(self, random, rows, hard):
        self.random, self.rows, self.hard = random, rows, hard

    def answers(self, losses):
        """Which rows models have right whose accuracies are so far below the best."""
        hard = self.random.random(self.rows) < self.hard
        chances = [np.where(hard, 0.6 - loss / self.hard, 1.0) for loss in losses]
        return [self.random.random(self.rows) < chance for chance in chances]

    def loss_after(self, attempts, step, *, careful=True):
        """What the last champion has lost against the best there was.

        Args:
            attempts: challengers, one after another.
            step: accuracy that each is worse than the champion it fights.
            careful: whether they share the level and the best one is asked as well.
        """
        champion, new = 0.0, np.ones(self.rows, bool)
        for attempt in range(1, attempts + 1):
            losses = [champion + step, champion, 0.0]
            challenger, now, best = self.answers(losses)
            number = attempt if careful else 1
            trial = Challenge(
                challenger,
                new,
                opponent(now, 2),
                opponent(best, 1) if careful and champion else None,
                attempt=number,
                attempt_on_new=number,
            )
            if champion_gate(CHAMPION, trial)[0].passed:
                champion += step
        return champion


@pytest.mark.system
@pytest.mark.parametrize(
    ("rows", "hard", "step"),
    [(1000, 0.01, 0.001), (5000, 0.02, 0.0005), (5000, 0.02, 0.0025)],
)
def test_a_thousand_promotions_lose_one_margin_at_most(rows, hard, step):
    random, worlds = np.random.default_rng(1), 5
    losses = [Race(random, rows, hard).loss_after(1000, step) for _ in range(worlds)]
    assert max(losses) <= MARGIN + 1e-9


def test_without_the_best_former_champion_losses_would_add_up():
    race = Race(np.random.default_rng(1), 5000, 0.02)
    assert race.loss_after(400, 0.0005, careful=False) > MARGIN


def test_a_thousand_alternations_change_nothing():
    """Two data sets that differ by one row: after the first two no item is new."""
    random, rows = np.random.default_rng(3), 2000
    shared = random.random(rows + 1) < 0.99
    promoted = 0
    for attempt in range(1, 1001):
        challenger = shared & (random.random(rows + 1) < 0.9985)  # 0.15 points worse
        used = np.arange(rows + 1) != (rows if attempt % 2 else 0)
        is_new = (np.arange(rows + 1) == rows) & (attempt == 2)
        trial = Challenge(
            challenger, is_new, opponent(shared, compared=used), attempt=attempt
        )
        promoted += champion_gate(CHAMPION, trial)[0].passed
    assert promoted == 0
