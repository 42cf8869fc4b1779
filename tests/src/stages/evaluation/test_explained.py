"""Explanations of an evaluation: the check, and what is drawn."""

from typing import Any

import numpy as np
import pytest
from tests.blobs import spec_of

from headrace.explanations import verdict_of
from headrace.stages.evaluation import evaluate, explained

pytestmark = pytest.mark.system

Trained = Any

ALIKE = (
    'gates=[{ name = "alike", metric = "occlusion_random_weights", '
    'direction = "max", threshold = 0.5 }]'
)


def again(trained, *overrides):
    spec = spec_of(trained.settings.project, *overrides)
    records = (trained.snapshot, trained.contract, trained.good)
    return evaluate(spec, *records, None, trained.home)


DEEPER = "evaluation.depth=auto"


def test_an_evaluation_checks_them_and_fits_nothing(trained):
    seen = again(trained, DEEPER)
    assert verdict_of(seen.metrics).status == "passed"
    assert trained.home.store.names("references") == []
    run = trained.good.run_id
    assert b"PNG" in trained.home.tracking.run_file(run, "pictures/explanations.png")
    logged = trained.home.tracking.client.get_run(run).data.metrics
    assert logged["occlusion_p_value"] == seen.metrics["occlusion_p_value"]


def test_a_quick_evaluation_checks_them_for_a_gate_alone(trained):
    assert verdict_of(again(trained).metrics).status == "unchecked"
    assert verdict_of(again(trained, ALIKE).metrics).status == "passed"


def test_nothing_is_drawn_of_what_has_failed(trained, monkeypatch):
    monkeypatch.setattr(explained, "draw_explanations", pytest.fail)
    failed = {"occlusion_random_weights": 0.9, "occlusion_random_weights_low": 0.8}
    monkeypatch.setattr(
        explained, "check", lambda _n, _f, items, _d: (failed, [np.zeros(1)])
    )
    seen = again(trained, DEEPER)
    assert seen.metrics.items() >= failed.items()


def test_a_model_of_another_form_is_not_checked(trained, monkeypatch):
    monkeypatch.setattr(explained, "parts_of", lambda model: None)
    assert verdict_of(again(trained, DEEPER).metrics).status == "unchecked"
