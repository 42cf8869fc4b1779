"""A champion whose challengers must gain something: another seed is not enough."""

import numpy as np
import pytest
from pydantic import ValidationError

from headrace.gates.champion import Challenge, Scored, champion_gate, level_of
from headrace.gates.paired_numbers import PairedNumbers
from headrace.pipeline import GateSpec

ASKED = GateSpec.model_validate({"name": "champion", "arguments": {"gain": 0.01}})
PLAIN = GateSpec.model_validate({"name": "champion"})


def trial(gain, rows=1_000):
    """A challenger that is better by a share, on rows that were judged before."""
    chance = np.random.default_rng(5)
    other = chance.gamma(20, 0.1, rows)
    own = other * (1 - gain + chance.normal(0, 0.03, rows))
    every = np.ones(rows, bool)
    scored = Scored(own, every), Scored(other, every)
    return Challenge(*scored, 1, every, ~every, higher_is_better=False)


def test_a_challenger_is_promoted_for_more_than_the_gain_only():
    small, large = trial(0.006), trial(0.02)
    assert champion_gate(PLAIN, small)[0].passed
    refused, promoted = champion_gate(ASKED, small)[0], champion_gate(ASKED, large)[0]
    assert not refused.passed
    assert "but the gain is shown to be at least +0.34% of its mean" in refused.reason
    assert refused.reason.endswith("where more than +1.00% of its mean is asked")
    assert refused.compared.startswith("gain 0.00338")
    assert promoted.passed, promoted.reason
    assert promoted.compared.endswith("> 0.01")


def test_a_gain_of_right_answers_is_a_share_of_the_items():
    right, other = np.ones(4_000, bool), np.ones(4_000, bool)
    other[:60] = False  # 1.5 %
    every = np.ones(4_000, bool)
    one = Challenge(Scored(right, every), Scored(other, every), 1, every, ~every)
    assert champion_gate(ASKED, one)[0].passed
    other[30:60] = True
    assert champion_gate(PLAIN, one)[0].passed
    assert not champion_gate(ASKED, one)[0].passed


@pytest.mark.parametrize("value", [-0.1, 1, "0.01", True])
def test_a_gain_is_a_share(value):
    with pytest.raises(ValidationError, match="gain is"):
        GateSpec.model_validate({"name": "champion", "arguments": {"gain": value}})


def test_no_other_argument_is_taken():
    with pytest.raises(ValidationError, match="takes gain, not gains"):
        GateSpec.model_validate({"name": "champion", "arguments": {"gains": 0.1}})


def replaced(chance, gain, count=20):
    """How many of so many retrainings replace the champion; only seeds differ.

    It counts those whose bound is above the gain, which every promotion needs.
    """
    rows, level = 1_000, 0.05
    champion, promotions = chance.normal(0, 0.005), 0
    for attempt in range(1, count + 1):
        seed = chance.normal(0, 0.005)
        gains = champion - seed + chance.normal(0, 0.03, rows)
        found = PairedNumbers(gains, 1.0, 1.0)
        if found.lower_bound(level_of(attempt, level)) > gain:
            champion, promotions = seed, promotions + 1
    return promotions


def test_of_twenty_retrainings_at_most_one_replaces_the_champion():
    chance = np.random.default_rng(7)
    asked = [replaced(chance, 0.01) for _ in range(400)]
    plain = [replaced(chance, 0.0) for _ in range(400)]
    assert np.mean(np.array(asked) <= 1) > 0.99
    assert np.mean(np.array(plain) <= 1) < 0.7
