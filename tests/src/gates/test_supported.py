"""Thresholds that the intervals of an evaluation support."""

import math

import pytest

from headrace.gates.supported import supported
from headrace.pipeline import GateSpec

METRICS = {
    "test_accuracy": 1.0,
    "test_accuracy_low": 0.969238,
    "test_accuracy_high": 1.0,
    "test_mean_absolute_error": 6.65,
    "test_mean_absolute_error_low": 6.24,
    "test_mean_absolute_error_high": 7.06999,
    "model_megabytes": 0.7,
}
ACCURACY = {"name": "accuracy", "metric": "test_accuracy"}
ERROR = {
    "name": "error",
    "metric": "test_mean_absolute_error",
    "direction": "max",
}


def of(metrics=METRICS, **gate):
    found = supported([GateSpec.model_validate(gate)], metrics)
    return [one.threshold for one in found]


def test_it_is_the_end_of_the_interval_away_from_the_metric():
    (found,) = supported(
        [GateSpec.model_validate({**ACCURACY, "threshold": 0.225})], METRICS
    )
    assert found.model_dump() == {
        "gate": "accuracy",
        "threshold": 0.9692,
        "now": 0.225,
        "value": 1.0,
    }
    assert of(**ERROR, threshold=21.65) == [7.07]


def test_a_gate_that_is_as_strict_already_is_left_alone():
    assert of(**ACCURACY, threshold=0.98) == []
    assert of(**ACCURACY, threshold=0.9692) == []
    assert of(**ERROR, threshold=7.0) == []


@pytest.mark.parametrize("end", [math.nan, math.inf])
def test_nothing_rests_on_an_interval_that_is_not_finite(end):
    assert of({"test_accuracy_low": end}, **ACCURACY, threshold=0.1) == []


def test_a_metric_without_an_interval_and_a_kind_support_nothing():
    assert of(name="size") == []
    assert of(name="champion") == []
    assert of(name="weak_slice", threshold=0.5) == []
