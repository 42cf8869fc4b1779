"""Explanations of an evaluation: the check, and what is drawn."""

import logging
from typing import Any

import numpy as np
import pytest
from tests.blobs import WEAK, spec_of

from headrace.errors import Refusal
from headrace.explanations import verdict_of
from headrace.records import DataDescription
from headrace.stages.evaluation import evaluate, explained
from headrace.stages.evaluation.answers import items_at
from headrace.stages.evaluation.membership.rows import REFERENCES
from headrace.state.store import Store
from headrace.tasks import task

pytestmark = pytest.mark.system

Trained = Any


def again(trained, training, *overrides, depth="standard"):
    spec = spec_of(trained.settings.project, f"evaluation.depth={depth}", *overrides)
    records = (spec, trained.snapshot, trained.contract, training)
    return evaluate(*records, None, trained.home)


def test_a_cheap_training_is_checked(trained):
    metrics = again(trained, trained.good).metrics
    assert verdict_of(metrics, "occlusion").status == "passed"
    assert metrics["gradients_completeness_error"] < 0.01


def test_maps_of_a_model_that_has_learned_nothing_fail_the_check(trained):
    metrics = again(trained, trained.weak, *WEAK).metrics
    assert verdict_of(metrics, "gradients").status == "failed"
    assert verdict_of(metrics, "occlusion").status == "failed"


@pytest.mark.system
def test_a_long_training_is_checked_at_full_depth_alone(trained):
    metrics = {**trained.good.metrics, "epoch_cpu_seconds": 60.0}
    slow = trained.good.model_copy(update={"metrics": metrics})
    assert not any("other_seed" in name for name in again(trained, slow).metrics)
    seen = again(trained, slow, depth="full").metrics
    assert verdict_of(seen, "occlusion").status == "passed"
    kept = Store(trained.settings.store).names("references")
    assert len(kept) == 2 + REFERENCES  # those of the attack, at full depth


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
        record = again(trained, trained.good, "training.epochs=7")
    assert record.metrics.keys() >= {"test_accuracy"}
    assert "occlusion_other_seed" not in record.metrics
    assert "explanations are not checked: Training diverged." in caplog.text


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
