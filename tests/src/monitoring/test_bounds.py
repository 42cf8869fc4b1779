"""The bound on a version's mean score."""

from types import SimpleNamespace

import pytest

from headrace.monitoring import bounds
from headrace.monitoring.bounds import bound_of
from headrace.records import DataDescription

CLASSES = {"classes": ["a", "b"]}


def facts(task="classification"):
    target = CLASSES if task == "classification" else {}
    data = DataDescription(medium="image", task=task, shape=(2, 2, 1), target=target)
    return SimpleNamespace(description=data, low=0.7, high=1.5)


def gate(metric, threshold, direction="min"):
    return {
        "name": metric,
        "metric": metric,
        "threshold": threshold,
        "direction": direction,
    }


def of_gates(*gates, task="classification", **metrics):
    law = {"committed": {"gates": gates}}
    evidence = SimpleNamespace(law=law, metrics=metrics, version=3)
    found = bounds._of_gates(evidence, facts(task).description)
    return [bound.value for bound in found]


def test_the_gate_on_the_mean_score_is_the_bound(watched, version):
    bound = bound_of(version, facts(), watched)
    assert (bound.value, bound.origin) == (0.9, "the gate accuracy of version 1")


def test_without_evidence_it_is_the_interval_on_held_out_rows(watched, version):
    other = version.model_copy(update={"model": "others"})
    assert bound_of(other, facts(), watched).value == 0.7
    assert bound_of(other, facts("regression"), watched).value == 1.5


@pytest.mark.parametrize(
    "other",
    [
        gate("test_macro_f1", 0.9),
        gate("test_accuracy", None),
        gate("test_accuracy", 0.99, "max"),
        {**gate("test_accuracy", 0.9), "kind": "ratio"},
    ],
)
def test_other_gates_are_no_bound(other):
    assert of_gates(other, gate("test_accuracy", 0.8)) == [0.8]


def test_a_relative_error_counts_with_its_unit():
    gates = (
        gate("test_relative_error", 0.9, "max"),
        gate("test_mean_absolute_error", 4.0, "max"),
    )
    metrics = {"test_relative_error": 0.5, "test_mean_absolute_error": 2.0}
    assert of_gates(*gates, task="regression", **metrics) == [0.9 * 4.0, 4.0]
    assert of_gates(*gates, task="regression") == [4.0]
