"""Intervals of differences: published figures, and how often they hold the truth."""

import itertools

import numpy as np
import pytest
from scipy import stats

from headrace.gates.intervals import Groups, linear_parts, wilson
from headrace.tasks.judging import wilson_interval


def shares(*counts):
    rows = np.array([n for _, n in counts], float)
    rates = np.array([right / n for right, n in counts])
    return Groups(tuple("abcdefgh"[: len(counts)]), rows, rates)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_intervals_of_shares_are_those_that_newcombe_published(one, other, low, high):
    """Table II of the paper, method 10."""
    lows, highs = shares(one, other).differences(0.05)
    assert (lows[0, 1], highs[0, 1]) == pytest.approx((low, high), abs=5e-5)
    assert (lows[1, 0], highs[1, 0]) == pytest.approx((-high, -low), abs=5e-5)


def test_the_interval_of_one_share_is_wilsons():
    low, high = wilson(np.array([0.9]), np.array([40.0]), 0.05)
    assert (low[0], high[0]) == pytest.approx(wilson_interval(36, 40, 0.95))


def coverage(n, p, m, q, level):
    """The chance that the interval holds the true difference, over all outcomes."""
    first, second = np.arange(n + 1), np.arange(m + 1)
    chance, other = stats.binom.pmf(first, n, p), stats.binom.pmf(second, m, q)
    first, second = first[chance > 1e-9], second[other > 1e-9]
    rows = np.repeat([float(n), float(m)], [len(first), len(second)])
    rates = np.concatenate([first, second]) / rows
    lows, highs = Groups((), rows, rates).differences(level)
    pairs = np.s_[: len(first), len(first) :]
    holds = (lows[pairs] <= p - q + 1e-12) & (p - q <= highs[pairs] + 1e-12)
    return float((chance[first][:, None] * other[second] * holds).sum())


def test_intervals_of_shares_hold_the_truth_as_often_as_they_say():
    """From 30 to 1,000 rows and shares of 0.8 to 0.98: at least 94.4 % at 95 %."""
    sizes, rates = (30, 50, 100, 300, 1000), (0.8, 0.9, 0.95, 0.98)
    least = min(
        coverage(n, p, m, q, 0.05)
        for n, m in itertools.combinations_with_replacement(sizes, 2)
        for p, q in itertools.product(rates, repeat=2)
    )
    assert 0.944 < least < 0.95


def of_numbers(*parts):
    ends = np.cumsum([0, *map(len, parts)])
    rows = {
        str(k): np.arange(a, b) for k, (a, b) in enumerate(itertools.pairwise(ends))
    }
    return Groups.of(np.concatenate(parts), rows)


def test_intervals_of_means_are_welchs_where_variances_are_alike():
    random = np.random.default_rng(0)
    one, other = random.normal(0, 1, 40), random.normal(0.3, 1, 40)
    other = other.mean() + (other - other.mean()) * one.std() / other.std()
    lows, highs = of_numbers(one, other).differences(0.05)
    exact = stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert (lows[0, 1], highs[0, 1]) == pytest.approx((exact.low, exact.high))


def test_a_group_that_varies_less_by_chance_has_the_variance_of_all():
    groups = of_numbers(np.array([0.0, 2.0, 0.0, 2.0]), np.ones(4))
    assert groups.variances is not None
    assert groups.variances.tolist() == pytest.approx([4 / 3, 2 / 3])


SKEWED = {
    "half-normal": lambda random, n: np.abs(random.normal(size=n)),
    "exponential": lambda random, n: random.exponential(size=n),
    "lognormal": lambda random, n: random.lognormal(sigma=1, size=n),
}


@pytest.mark.parametrize("draw", SKEWED.values(), ids=[*SKEWED])
@pytest.mark.parametrize(("n", "m"), [(30, 30), (30, 1000), (100, 300)])
def test_intervals_of_errors_hold_the_truth_however_skewed(draw, n, m):
    random, held = np.random.default_rng(n + m), 0
    for _ in range(500):
        lows, highs = of_numbers(draw(random, n), draw(random, m)).differences(0.05)
        held += bool(lows[0, 1] <= 0 <= highs[0, 1])
    assert held / 500 >= 0.94


def word_errors(random, n):
    """Wrong words and words of sentences, half of which have nearly no error."""
    words = random.poisson(8, n) + 1
    return random.binomial(words, random.beta(0.5, 4.5, n)).astype(float), words * 1.0


def test_the_variance_of_a_ratio_is_that_of_the_delta_method():
    random = np.random.default_rng(2)
    drawn = np.array(
        [
            (wrong.sum() / words.sum(), linear_parts(wrong, words).var(ddof=1) / 200)
            for wrong, words in (word_errors(random, 200) for _ in range(1000))
        ]
    )
    assert drawn[:, 0].var() == pytest.approx(drawn[:, 1].mean(), rel=0.15)
    wrong, words = word_errors(random, 50)
    parts = linear_parts(wrong, words)
    assert parts.mean() == pytest.approx(wrong.sum() / words.sum())


def test_intervals_of_word_error_rates_hold_the_truth():
    random, held = np.random.default_rng(3), 0
    for _ in range(500):
        wrong, words = word_errors(random, 330)
        parts = {"few": np.arange(30), "many": np.arange(30, 330)}
        lows, highs = Groups.of(wrong, parts, words).differences(0.05)
        held += bool(lows[0, 1] <= 0 <= highs[0, 1])
    assert held / 500 >= 0.94
