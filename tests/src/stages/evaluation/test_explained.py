"""Explanations of an evaluation: the check, and what is drawn."""

from __future__ import annotations

import json
import logging
from typing import Any

import numpy as np
import pytest

from headrace.errors import Refusal
from headrace.explanations import verdict_of
from headrace.records import TrainingRecord
from headrace.stages.evaluation import evaluate, explained
from headrace.stages.evaluation.answers import Answers, Worst, items_at
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.state.tracking import Tracking
from headrace.tasks import task

Trained = Any
FILES = [f"pictures/explanations.{kind}" for kind in ("png", "html", "json")]


def again(trained: Trained, training: TrainingRecord, **evaluation: Any) -> Any:
    options = trained.spec.evaluation.model_copy(update=evaluation)
    spec = trained.spec.model_copy(update={"evaluation": options})
    records = (spec, trained.snapshot, trained.contract, training)
    return evaluate(*records, None, trained.settings)


def test_a_cheap_training_is_checked_and_its_maps_are_logged(trained: Trained) -> None:
    metrics, record = trained.good_evaluation.metrics, trained.good
    assert verdict_of(metrics, "occlusion").status == "passed"
    assert metrics["gradients_completeness_error"] < 0.01
    tracking = Tracking(trained.settings)
    picture, page, table = (tracking.run_file(record.run_id, f) for f in FILES)
    assert picture.startswith(b"\x89PNG")
    assert b"speaks against it" in page
    rows = json.loads(table)["rows"]
    assert {row["cells"][0] for row in rows} >= {"typical"}
    assert all("rows " in row["cells"][2] for row in rows)


def test_a_method_that_fails_its_check_is_not_drawn(trained: Trained) -> None:
    """The weak model has learned nothing, so that another seed gives other maps."""
    metrics = trained.weak_evaluation.metrics
    assert verdict_of(metrics, "gradients").status == "failed"
    assert verdict_of(metrics, "occlusion").status == "failed"
    with pytest.raises(Refusal):
        Tracking(trained.settings).run_file(trained.weak.run_id, FILES[0])


def test_a_long_training_is_checked_at_full_depth_alone(trained: Trained) -> None:
    metrics = {**trained.good.metrics, "epoch_cpu_seconds": 60.0}
    slow = trained.good.model_copy(update={"metrics": metrics})
    assert not any("other_seed" in name for name in again(trained, slow).metrics)
    seen = again(trained, slow, depth="full").metrics
    assert verdict_of(seen, "occlusion").status == "passed"
    names = Store(trained.settings.store).names("references")
    assert len(names) == 4  # of the weak and of the good recipe, two each


def test_reference_models_that_cannot_be_fitted_only_leave_it_unchecked(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    def diverge(recipe: Any, epochs: int) -> Any:
        raise Refusal("Training diverged.", "Lower training.learning_rate.")

    monkeypatch.setattr(explained, "fit_seed_and_labels", diverge)
    longer = trained.spec.training.model_copy(update={"epochs": 7})
    spec = trained.spec.model_copy(update={"training": longer})
    with caplog.at_level(logging.WARNING, "headrace"):
        record = evaluate(
            *(spec, trained.snapshot, trained.contract, trained.good, None),
            trained.settings,
        )
    assert record.metrics.keys() >= {"test_accuracy"}
    assert "occlusion_other_seed" not in record.metrics
    assert "explanations are not checked: Training diverged." in caplog.text


def test_the_evidence_has_what_the_verdict_is_based_on(trained: Trained) -> None:
    (evidence,) = Ledger(trained.settings.database_url).evidence_of("blobs", 1)
    assert verdict_of(evidence.metrics, "occlusion").status == "failed"


def made(outputs: Any, targets: Any) -> Answers:
    nothing = Worst(*(np.empty((0, 1)) for _ in range(4)))
    return Answers(targets, outputs, np.ones(len(targets)), {}, [], nothing)


def test_a_typical_row_is_right_and_of_the_middle_confidence() -> None:
    outputs = np.array(
        [[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.99, 0.01], [0.3, 0.7]], np.float32
    )
    answers = made(outputs, np.array([0, 0, 0, 1, 1]))  # row 3 is a mistake
    rows = explained.typical_rows(answers, task("classification").judge)
    assert rows == [1, 4]


def test_typical_numbers_are_of_all_ranges() -> None:
    outputs = np.arange(50, dtype=np.float32)[:, np.newaxis]
    answers = made(outputs, np.arange(50) + 0.5)
    rows = explained.typical_rows(answers, task("regression").judge)
    assert [row // 10 for row in rows] == [0, 1, 2, 3, 4]


def test_items_are_found_by_their_numbers(trained: Trained) -> None:
    from headrace.data.snapshots.splits import SplitRows, read_split

    rows = SplitRows(trained.snapshot, "test")
    every = read_split(trained.snapshot, "test").items
    found = items_at(rows, [59, 0, 7])
    assert np.array_equal(np.stack(found), every[[59, 0, 7]])
