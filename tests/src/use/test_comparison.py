"""Two versions differ by what they are made of and by how they do."""

from typing import Any

from headrace.stages.ingredients import TAG
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking
from headrace.use.comparison import compare, side_by_side

Trained = Any


def test_a_version_does_not_differ_from_itself(trained):
    version = Ledger(trained.settings.database_url).find("blobs/1")
    found = compare(version, version, trained.home)
    assert (found.versions, found.differences, found.notice) == ((1, 1), (), "")
    first, second = found.metrics["test_accuracy"]
    assert first == second
    assert first is not None


def test_a_metric_that_neither_version_has_is_left_out():
    first, second = {"b": 0.0, "a": None, "both": None}, {"a": 1.0, "both": None}
    found = side_by_side(first, second)
    assert list(found.items()) == [("a", (None, 1.0)), ("b", (0.0, None))]


def test_a_training_without_a_record_is_said_to_have_none(trained):
    version = Ledger(trained.settings.database_url).find("blobs/1")
    Tracking(trained.settings).client.delete_tag(version.run_id, f"mlflow.{TAG}")
    found = compare(version, version, trained.home)
    assert "has no record of its ingredients in MLflow" in found.notice
