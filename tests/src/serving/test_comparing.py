"""The canary's test: its error rate, its power, and that it is a martingale."""

import itertools
import math

import numpy as np
import pytest

from headrace.serving.canary import LEVEL, MARGIN, REVIEW_EVERY
from headrace.serving.comparing import is_shown, log_evidence, log_wealth

TENTHS = np.full(10, 0.1)


def moved(size, *, to=0, of=1):
    """Shares of ten answers, of which one has got some of another."""
    shares = TENTHS.copy()
    shares[to] += size
    shares[of] -= size
    return shares


def ends(champion, canary, share, runs, requests, seed=1):
    """The requests after which each run was ended, ``(runs,)``; inf if it was not."""
    random = np.random.default_rng(seed)
    counts = np.zeros((2, runs, len(champion)))
    ended = np.full(runs, np.inf)
    expected = random.multinomial(200, champion) / 200
    for count in range(REVIEW_EVERY, requests + 1, REVIEW_EVERY):
        of_canary = random.binomial(REVIEW_EVERY, share, runs)
        counts[0] += random.multinomial(REVIEW_EVERY - of_canary, champion)
        counts[1] += random.multinomial(of_canary, canary)
        all_ = counts.sum(axis=-1, keepdims=True)
        wealth = log_wealth(
            counts[1], counts[0], all_[1], all_[0], expected, share, MARGIN
        )
        shown = is_shown(log_evidence(wealth), LEVEL)
        ended[shown & np.isinf(ended)] = count
    return ended


@pytest.mark.system
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
@pytest.mark.parametrize("size", [0.0, MARGIN], ids=["equal", "at the margin"])
def test_a_canary_within_the_margin_is_rarely_ended(share, size):
    runs = 1000
    alarms = np.isfinite(ends(TENTHS, moved(size), share, runs, 20_000)).mean()
    assert alarms <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / runs)


@pytest.mark.system
@pytest.mark.parametrize(
    ("canary", "most"),
    [
        (np.eye(10)[3], 1000),  # always the same answer
        (np.roll(moved(0.09), 5), 60_000),  # an answer has nearly vanished
        (moved(0.1, to=0, of=1) * 0 + np.repeat([0.2, 0.0], 5), 20_000),
    ],
    ids=["one answer", "one has vanished", "half have vanished"],
)
def test_a_canary_that_answers_otherwise_is_ended(canary, most):
    ended = ends(TENTHS, canary, 0.05, 200, most)
    assert np.isfinite(ended).mean() >= 0.95
    assert np.median(ended) < most


def test_requests_that_change_with_time_do_not_matter():
    """Both are asked for ones at first, and for nines later."""
    random = np.random.default_rng(3)
    runs, share, alarms = 400, 0.05, np.zeros(400, bool)
    counts, expected = np.zeros((2, runs, 3)), np.array([1.0, 0.0, 0.0])
    for step in range(100):
        of_canary = random.binomial(REVIEW_EVERY, share, runs)
        shares = np.eye(3)[min(2, step // 40)]
        counts[0] += random.multinomial(REVIEW_EVERY - of_canary, shares)
        counts[1] += random.multinomial(of_canary, shares)
        all_ = counts.sum(axis=-1, keepdims=True)
        wealth = log_wealth(
            counts[1], counts[0], all_[1], all_[0], expected, share, MARGIN
        )
        alarms |= is_shown(log_evidence(wealth), LEVEL)
    assert alarms.mean() <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / runs)


@pytest.mark.parametrize("difference", [-0.3, 0.0, MARGIN, 0.4])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_a_bet_is_fair_at_the_margin(share, difference):
    """By enumeration of one request: the mean wealth is at most 1 within the margin."""
    of_champion = 0.45
    of_canary = of_champion + difference
    mean = np.zeros(2)
    for is_canary, has in itertools.product((0, 1), (0, 1)):
        chance = (share if is_canary else 1 - share) * abs(
            1 - has - (of_canary if is_canary else of_champion)
        )
        wealth = log_wealth(
            np.array([float(is_canary * has)]),
            np.array([float((1 - is_canary) * has)]),
            float(is_canary),
            float(1 - is_canary),
            np.array([0.3]),
            share,
            MARGIN,
        )
        mean += chance * np.exp(wealth[:, 0])
    up, down = mean
    assert (up > 1) == (difference > MARGIN)
    assert (down > 1) == (difference < -MARGIN)
    if difference == MARGIN:
        assert up == pytest.approx(1)


def test_nothing_is_shown_before_there_is_anything():
    zeros = np.zeros(3)
    wealth = log_wealth(zeros, zeros, 0.0, 0.0, zeros, 0.05, MARGIN)
    assert wealth.shape == (2, 3)
    assert log_evidence(wealth) == 0
    assert not is_shown(0.0, LEVEL)
    assert is_shown(math.log(100) + 1e-9, 0.01)
