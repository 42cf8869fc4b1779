"""Labels show a loss soon, and none that there is not, however often one looks."""

import numpy as np
import pytest

from headrace.errors import InputError
from headrace.monitoring.evidence import judge_labels, log_evidence


def _needed(mean, labels, runs):
    random = np.random.default_rng(1)
    return np.array(
        [
            _first_shown((random.random(labels) < mean).astype(float))
            for _ in range(runs)
        ]
    )


def _first_shown(scores):
    """The number of labels that first show a mean below 0.9; infinite: never."""
    shown = np.flatnonzero(log_evidence(scores, 0.9) >= np.log(20))
    return shown[0] + 1 if len(shown) else np.inf


def test_ten_points_below_the_bound_are_shown_by_70_labels():
    needed = _needed(0.8, 600, 200)

    assert np.median(needed) <= 70
    assert np.quantile(needed, 0.9) <= 180


def test_a_kept_bound_is_seldom_said_to_be_broken():
    alarms = int(np.isfinite(_needed(0.9, 500, 200)).sum())

    # Ville's bound is 10 of 200; 18 happen in 1 of 100 draws at exactly that.
    assert alarms < 18


def test_the_evidence_is_a_fair_game_at_the_bound():
    """The expected capital is 1, by enumeration of all outcomes of 8 labels."""
    total = 0.0
    for outcome in range(2**8):
        scores = np.array([outcome >> bit & 1 for bit in range(8)], float)
        chance = 0.9 ** scores.sum() * 0.1 ** (8 - scores.sum())
        total += chance * judge_labels(scores, 0.9).e_value

    assert total == pytest.approx(1.0)


def test_scores_between_bets_are_fair_too():
    values, chances = np.array([0.5, 1.0]), np.array([0.4, 0.6])
    total = sum(
        chances[a] * chances[b] * judge_labels(values[[a, b]], 0.8).e_value
        for a in (0, 1)
        for b in (0, 1)
    )

    assert total == pytest.approx(1.0)


def test_a_loss_stays_shown():
    scores = np.array([0.0] * 10 + [1.0] * 500)

    result = judge_labels(scores, 0.9)

    assert result.lost
    assert _first_shown(scores) <= 10
    assert result.e_value < 20


def test_errors_are_judged_from_above():
    random = np.random.default_rng(0)
    errors = random.exponential(2.0, 400)

    broken = judge_labels(errors, 1.0, higher_is_better=False, largest=10)
    kept = judge_labels(errors / 2.5, 1.0, higher_is_better=False, largest=10)

    assert (broken.lost, kept.lost) == (True, False)
    assert broken.low < 2.0 < broken.high
    assert broken.score == pytest.approx(np.minimum(errors, 10).mean())


def test_the_interval_covers_the_mean():
    random = np.random.default_rng(2)
    covered = 0
    for _ in range(40):
        result = judge_labels((random.random(300) < 0.85).astype(float), 0.9)
        covered += result.low <= 0.85 <= result.high

    assert covered >= 36
    assert judge_labels(np.ones(50), 0.9).high == 1.0


def test_no_labels_show_nothing():
    result = judge_labels(np.array([]), 0.9)

    assert (result.labels, result.score, result.e_value) == (0, None, 1.0)
    assert not result.lost


@pytest.mark.parametrize(
    ("scores", "bound", "message"),
    [
        ([1.0, np.nan], 0.9, "score of label 1 is nan"),
        ([-1.0], 0.9, "score of label 0 is -1"),
        ([1.0], 1.0, "bound 1 is not between 0 and"),
    ],
)
def test_what_is_no_score_or_bound_is_refused(scores, bound, message):
    with pytest.raises(InputError, match=message):
        judge_labels(np.array(scores), bound)


def test_a_loss_after_many_good_labels_is_shown_soon():
    random = np.random.default_rng(5)
    needed = []
    for _ in range(20):
        good, bad = random.random(2000) < 0.97, random.random(600) < 0.70
        shown = _first_shown(np.concatenate([good, bad]).astype(float))
        assert shown > 2000
        needed.append(shown - 2000)
    assert np.median(needed) < 150 and max(needed) < 400
