"""Explanations of an evaluation: the check, and what is drawn."""

import logging
from typing import Any

import numpy as np
import pytest
from tests.blobs import WEAK, spec_of

from headrace.errors import Refusal
from headrace.explanations import METHODS, verdict_of
from headrace.records import DataDescription
from headrace.stages.evaluation import check_maps, evaluate, explained
from headrace.stages.evaluation.answers import items_at
from headrace.stages.evaluation.membership.rows import REFERENCES
from headrace.state.store import Store
from headrace.tasks import task

pytestmark = pytest.mark.system

Trained = Any


OTHER_SEED = (
    'gates=[{ name = "maps", metric = "occlusion_other_seed", threshold = 0.5 }]'
)


def spec_at(trained, depth, *overrides):
    depth = f"evaluation.depth={depth}"
    return spec_of(trained.settings.project, depth, *overrides)


def again(trained, training, *overrides, depth="auto"):
    records = (trained.snapshot, trained.contract, training)
    return evaluate(spec_at(trained, depth, *overrides), *records, None, trained.home)


def checked(trained, training, *overrides, depth="auto"):
    """What is measured after the evaluation."""
    spec = spec_at(trained, depth, *overrides)
    records = (trained.snapshot, trained.contract, training)
    return check_maps(spec, *records, trained.home, trained.folder)


def references(trained):
    return Store(trained.settings.store).names("references")


def with_metrics(training, **metrics):
    return training.model_copy(update={"metrics": {**training.metrics, **metrics}})


def test_an_evaluation_does_not_wait_for_reference_models(trained):
    seen = again(trained, trained.good)
    assert not any(name.startswith(tuple(METHODS)) for name in seen.metrics)
    assert any(name.startswith("rung=") for name in seen.slices)
    assert references(trained) == []


def test_they_are_fitted_after_it_and_what_is_found_goes_to_the_run(trained):
    metrics = checked(trained, trained.good)
    assert verdict_of(metrics, "occlusion").status == "passed"
    assert metrics["gradients_completeness_error"] < 0.01
    assert len(references(trained)) == 2
    run = trained.good.run_id
    assert b"PNG" in trained.home.tracking.run_file(run, "pictures/explanations.png")
    logged = trained.home.tracking.client.get_run(run).data.metrics
    assert logged.items() >= metrics.items()


def test_maps_of_a_model_that_has_learned_nothing_fail_the_check(trained):
    metrics = checked(trained, trained.weak, *WEAK)
    assert verdict_of(metrics, "gradients").status == "failed"
    assert verdict_of(metrics, "occlusion").status == "failed"


@pytest.mark.parametrize("depth", ["auto", "quick", "full"])
def test_what_a_gate_names_is_checked_before_the_verdict(trained, depth):
    seen = again(trained, trained.good, OTHER_SEED, depth=depth)
    gate = seen.gates[0]
    assert (gate.name, gate.passed) == ("maps", True)
    assert gate.value == seen.metrics["occlusion_other_seed"] >= 0.5
    assert len(references(trained)) == (2 + REFERENCES if depth == "full" else 2)
    before = seen.metrics["gradients_random_labels"]
    after = checked(trained, trained.good, depth=depth)
    assert after["gradients_random_labels"] == pytest.approx(before)


def test_a_ratio_names_them_as_well(trained):
    gate = (
        '{ name = "r", kind = "ratio", metric = "test_accuracy", threshold = 1,'
        ' arguments = { to = "occlusion_other_seed" } }'
    )
    assert explained.are_wanted(spec_at(trained, "auto", f"gates=[{gate}]"))
    assert not explained.are_wanted(spec_at(trained, "auto"))


@pytest.mark.parametrize(
    ("depth", "parameters", "epochs", "fitted"),
    [
        ("auto", 1_091, 20, 5),  # a quarter
        ("auto", 1_091, 8, 3),  # at least three
        ("auto", 1_091, 2, 2),
        ("quick", 1_091, 20, 5),  # by a command
        ("full", 1_091, 20, 20),
        ("auto", 1e12, 20, 20),  # by a command
    ],
)
def test_how_many_epochs_are_fitted_follows_from_the_size_alone(
    trained, monkeypatch, depth, parameters, epochs, fitted
):
    seen = []

    def fit(recipe, epochs):
        seen.append(epochs)
        raise Refusal("Enough is known.")

    monkeypatch.setattr(explained, "fit_seed_and_labels", fit)
    for seconds in (1e-6, 1e6):
        metrics = {"parameters": parameters, "epoch_cpu_seconds": seconds}
        training = with_metrics(trained.good, **metrics)
        with pytest.raises(Refusal, match="Enough is known"):
            checked(trained, training, f"training.epochs={epochs}", depth=depth)
    assert seen == [fitted, fitted]


def test_a_quick_evaluation_explains_and_shifts_nothing(trained):
    seen = again(trained, trained.good, depth="quick")
    assert verdict_of(seen.metrics, "occlusion").status == "unchecked"
    assert not any(name.startswith("rung=") for name in seen.slices)
    gate = '{ name = "robustness", arguments = { rung = "noise 5", drop = 0.5 } }'
    seen = again(trained, trained.good, f"gates=[{gate}]", depth="quick")
    assert seen.gates[0].passed
    assert "rung=noise 5" in seen.slices


def test_reference_models_that_cannot_be_fitted_only_leave_it_unchecked(
    trained, monkeypatch, caplog
):
    def diverge(recipe, epochs):
        raise Refusal("Training diverged.", "Lower training.learning_rate.")

    monkeypatch.setattr(explained, "fit_seed_and_labels", diverge)
    with caplog.at_level(logging.WARNING, "headrace"):
        record = again(trained, trained.good, "training.epochs=7", OTHER_SEED)
    assert record.metrics.keys() >= {"test_accuracy"}
    assert "occlusion_other_seed" not in record.metrics
    assert not record.gates[0].passed
    assert "explanations are not checked: Training diverged." in caplog.text


def test_further_models_of_private_rows_are_never_fitted(trained):
    with pytest.raises(Refusal, match="not checked where training protects privacy"):
        checked(trained, trained.good, "training.privacy={ epsilon = 3 }")
    assert references(trained) == []


DATA = DataDescription(medium="text", shape=(9,))


def judged(name, outputs, targets):
    return task(name).judge.judged(outputs, targets, DATA)


def test_a_typical_row_is_right_and_of_the_middle_confidence():
    outputs = np.array(
        [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.99, 0.01], [0.3, 0.7]], np.float32
    )
    targets = np.array([0, 0, 0, 1, 1])  # row 3 is a mistake
    rows = explained.typical_rows(judged("classification", outputs, targets))
    assert rows == [1, 4]


def test_typical_numbers_are_of_all_ranges():
    outputs = np.arange(50, dtype=np.float32)[:, np.newaxis]
    rows = explained.typical_rows(judged("regression", outputs, np.arange(50) + 0.5))
    assert [row // 10 for row in rows] == [0, 1, 2, 3, 4]


def test_items_are_found_by_their_numbers(trained):
    from headrace.data.snapshots.splits import SplitRows, read_split

    rows = SplitRows(trained.snapshot, "test")
    every = read_split(trained.snapshot, "test").items
    found = items_at(rows, [59, 0, 7])
    assert np.array_equal(np.stack(found), every[[59, 0, 7]])
