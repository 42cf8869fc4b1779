"""Each gate passes and fails, and a missing number never passes."""

import math

import pytest

from headrace.display.signs import as_score
from headrace.gates.kinds import absolute_gate, serving_gate
from headrace.pipeline import PipelineSpec
from headrace.pipeline.gates import known_gates


def a_gate(name, **values):
    """A gate of a pipeline file, which knows what its task says of it."""
    spec = PipelineSpec.model_validate(
        {
            "name": "blobs",
            "medium": "image",
            "data": {"source": "x"},
            "gates": [{"name": name, **values}],
        }
    )
    (gate,) = spec.gates
    return gate


@pytest.mark.parametrize(
    ("name", "threshold", "good", "bad", "word"),
    [
        ("accuracy", 0.9, 0.9, 0.8999, "at least"),
        ("class_floor", 0.5, 0.6, 0.4, "at least"),
        ("calibration", 0.1, 0.1, 0.1001, "at most"),
        ("finite", 0, 0.0, 1.0, "at most"),
        ("size", 20, 20.0, 20.1, "at most"),
        ("latency", 200, 3.0, 201.0, "at most"),
    ],
)
def test_an_absolute_gate_holds_a_metric_against_its_bound(
    name, threshold, good, bad, word
):
    gate = a_gate(name, threshold=threshold)
    passed = absolute_gate(gate, {gate.metric: good})
    assert (passed.passed, passed.value, passed.threshold) == (True, good, threshold)
    assert passed.reason == ""
    sign = ">=" if word == "at least" else "<="
    assert passed.compared == f"{as_score(good, gate.metric)} {sign} {threshold:g}"
    failed = absolute_gate(gate, {gate.metric: bad})
    assert (failed.passed, failed.value) == (False, bad)
    assert f"{gate.metric} is" in failed.reason
    assert failed.compared == f"{as_score(bad, gate.metric)} {sign} {threshold:g}"
    assert word in failed.reason


@pytest.mark.parametrize(
    "name", [n for n in known_gates("classification") if n != "champion"]
)
def test_a_missing_metric_and_one_that_is_not_a_number_fail(name):
    gate = a_gate(name, threshold=0.5)
    missing = absolute_gate(gate, {})
    assert (missing.passed, missing.value, missing.compared) == (False, None, "")
    assert missing.reason == f"there is no metric {gate.metric}"
    nan = absolute_gate(gate, {gate.metric: math.nan})
    assert (nan.passed, nan.value) == (False, None)
    assert "is not a number" in nan.reason


def test_an_infinite_loss_fails_and_stays_json():
    gate = a_gate("loss", metric="test_log_loss", direction="max", threshold=1)
    found = absolute_gate(gate, {"test_log_loss": math.inf})
    assert (found.passed, found.value) == (False, None)


@pytest.mark.parametrize(
    ("difference", "error", "passed", "reason"),
    [
        (0.0, "", True, ""),
        (1e-5, "", True, ""),
        (2e-5, "", False, "answers of a clean process differ by up to 2e-05"),
        (math.nan, "", False, "answers of a clean process differ by up to nan"),
        (math.inf, "it crashed", False, "it crashed"),
        (0.0, "it crashed", False, "it crashed"),
    ],
)
def test_the_serving_gate_needs_the_same_answers_from_a_clean_process(
    difference, error, passed, reason
):
    found = serving_gate(difference, 1e-5, error)
    assert (found.passed, found.kind) == (passed, "serving")
    assert reason in found.reason


def test_an_infinite_value_passes_no_gate():
    gate = a_gate("score", metric="score", direction="min", threshold=1)
    assert not absolute_gate(gate, {"score": math.inf}).passed
