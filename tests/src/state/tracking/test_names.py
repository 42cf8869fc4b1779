"""Names of classes as parts of names in MLflow."""

from __future__ import annotations

import pytest

from headrace.settings import Settings
from headrace.state.tracking import Tracking, plain_part

ODD = [".", "..", "/", "a/", "a//b", "a/../b", "C+", "C#", "😀", "😢", "x" * 12_000]


@pytest.mark.parametrize("name", ["7", "ham", "a b", "news: local", "v1.2", "体育"])
def test_a_name_that_can_stay_stays(name: str) -> None:
    assert plain_part(name) == name


def test_odd_names_are_taken_by_mlflow_and_stay_apart(settings: Settings) -> None:
    values = {f"class/{plain_part(name)}/recall": i for i, name in enumerate(ODD)}
    assert len(values) == len(ODD)
    tracking = Tracking(settings)
    with tracking.run("blobs", "a run", {}) as (run_id, _):
        tracking.log_metrics(run_id, values)
    assert tracking.client.get_run(run_id).data.metrics == values
    assert all(key.count("/") == 2 for key in values)


def test_the_names_of_a_thousand_classes_are_taken(settings: Settings) -> None:
    values = {f"class/c{number}/f1": 0.5 for number in range(1_500)}
    tracking = Tracking(settings)
    with tracking.run("blobs", "a run", {}) as (run_id, _):
        tracking.log_metrics(run_id, values)
    assert len(tracking.client.get_run(run_id).data.metrics) == 1_500
