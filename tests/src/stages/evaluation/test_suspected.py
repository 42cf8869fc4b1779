"""How many suspected labels are wrong: by hand, and in simulated data."""

from dataclasses import replace

import numpy as np
import pytest
from tests.src.tasks.classification.test_suspects import CLASSES, agreeing, judged

from headrace.records import SuspectRecord, suspects_sentence
from headrace.stages.evaluation.suspected import expected_wrong
from headrace.tasks.classification.suspects import find_suspects
from headrace.tasks.forms import Suspect


def suspects(*chances):
    fields = {"split": "test", "label": "a", "likely": "b", "chance": 0.9}
    rows = [SuspectRecord(name="r", chance_wrong=c, **fields) for c in chances]
    item = np.zeros((2, 2, 1), np.uint8)
    return [Suspect(item, row, np.full(3, row.chance_wrong)) for row in rows]


def test_the_interval_is_of_the_sum_of_independent_events():
    """0.6 and 0.9: none 0.04, one 0.42, both 0.54."""
    metrics = expected_wrong(suspects(0.6, 0.9), 0.95)
    assert metrics == {
        "suspect_labels": 2.0,
        "suspect_labels_wrong": 1.5,
        "suspect_labels_wrong_low": 0.0,
        "suspect_labels_wrong_high": 2.0,
    }
    assert expected_wrong(suspects(0.6, 0.9), 0.9)["suspect_labels_wrong_low"] == 1
    assert expected_wrong(suspects(1, 1), 0.95)["suspect_labels_wrong_low"] == 2


def test_the_interval_has_the_uncertainty_of_the_probabilities():
    """By one half of the draws both are wrong, by the other none."""
    [first, second] = suspects(0.6, 0.9)
    drawn = np.array([0.0, 1.0])
    both = [replace(first, drawn=drawn), replace(second, drawn=drawn)]
    metrics = expected_wrong(both, 0.95)
    assert metrics["suspect_labels_wrong_low"] == 0
    assert metrics["suspect_labels_wrong_high"] == 2


def test_the_sentence_has_all_of_it():
    metrics = expected_wrong(suspects(*[0.96] * 50), 0.95)
    said = suspects_sentence(metrics)
    assert said == (
        "50 labels may be wrong, of which 48.0 (45 to 50) are expected to be"
    )
    assert suspects_sentence({"test_accuracy": 0.9}) == ""


@pytest.mark.parametrize("flipped", [0.03, 0.1])
def test_the_interval_has_the_truth_in_simulated_data(flipped):
    """It must in 95 % of the cases, if the probabilities were known exactly."""
    hits = 0
    for seed in range(10):
        part, is_flipped = judged(flipped, seed, overconfident=1.0)
        found = find_suspects([part], CLASSES, agreeing)
        metrics = expected_wrong(found, 0.95)
        real = sum(is_flipped[int(suspect.row.name)] for suspect in found)
        low = metrics["suspect_labels_wrong_low"] or 0
        hits += low <= real <= (metrics["suspect_labels_wrong_high"] or 0)
    assert hits >= 8
