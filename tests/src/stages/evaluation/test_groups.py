"""Accuracy by group, and whether unseen groups differ."""

import math

import numpy as np
import pytest

from headrace.records import DataDescription
from headrace.stages.evaluation.answers import AnsweredSplit, Worst
from headrace.stages.evaluation.unseen import (
    _overconfident,
    group_slices,
    unseen_groups,
)
from headrace.tasks import task

TASK = task("classification")


def of_groups(groups, right, sure=0.8):
    """Answers with some confidence, of which only groups and scores are looked at."""
    nothing = np.empty(0)
    worst = Worst(nothing, nothing, nothing, nothing)
    outputs = np.tile(np.array([sure, 1 - sure], np.float32), (len(right), 1))
    data = DataDescription(medium="text", shape=(9,), target={"classes": ["a", "b"]})
    judged = TASK.judge.judged(outputs, np.where(right, 0, 1), data)
    return AnsweredSplit(judged, {}, groups, worst)


def test_each_group_has_a_slice_and_the_seen_ones_are_told_from_the_unseen():
    right = np.array([True, True, True, False, False, True])
    answers = of_groups(["ann"] * 4 + ["bob"] * 2, right)
    slices = group_slices(answers, lambda: {"ann"}, 0.95)
    assert {name: (s["rows"], s["accuracy"]) for name, s in slices.items()} == {
        "groups=seen": (4, 0.75),
        "groups=unseen": (2, 0.5),
        "group=ann": (4, 0.75),
        "group=bob": (2, 0.5),
    }
    assert slices["group=ann"]["accuracy_low"] < 0.75


def test_rows_without_groups_give_no_slices():
    answers = of_groups(["", ""], np.array([True, False]))
    assert group_slices(answers, set, 0.95) == {}
    assert unseen_groups({}, "accuracy", 0.9, 100) == ({}, [])


def test_a_difference_beyond_chance_is_a_finding():
    slices = {"groups=unseen": {"rows": 400.0, "accuracy": 0.8}}
    metrics, (finding,) = unseen_groups(slices, "accuracy", 0.98, 200)
    assert metrics == {
        "test_accuracy_unseen_groups": 0.8,
        "accuracy_seen_groups": 0.98,
    }
    assert (finding.check, finding.split, finding.count) == (
        "unseen_groups",
        "test",
        400,
    )
    assert "0.8000 on groups that are not in train" in finding.message


@pytest.mark.parametrize("val", [0.81, None])
def test_a_difference_within_chance_or_from_nothing_is_none(val):
    slices = {"groups=unseen": {"rows": 400.0, "accuracy": 0.8}}
    metrics, findings = unseen_groups(slices, "accuracy", val, 200)
    assert metrics["test_accuracy_unseen_groups"] == 0.8
    assert not findings


def test_seen_groups_of_test_come_before_val():
    slices = {
        "groups=unseen": {"rows": 100.0, "accuracy": 0.5},
        "groups=seen": {"rows": 100.0, "accuracy": 0.9},
    }
    metrics, findings = unseen_groups(slices, "accuracy", 0.1, 1000)
    assert metrics["accuracy_seen_groups"] == 0.9
    assert len(findings) == 1


def test_a_confidence_that_unseen_groups_do_not_keep_is_a_finding():
    right = np.arange(400) % 5 < 3
    slices = group_slices(of_groups(["theo"] * 400, right), set, 0.95)
    unseen = slices["groups=unseen"]
    assert (unseen["confidence"], unseen["right"]) == (pytest.approx(0.8), 0.6)
    _, (finding,) = unseen_groups(slices, "accuracy", None, 0)
    assert (finding.check, finding.count) == ("unseen_confidence", 400)
    assert "0.80 on groups that are not in train, and 0.60" in finding.message


def test_a_confidence_that_holds_or_that_few_rows_cannot_refute_is_none():
    for rows, right in ((400, 0.8), (20, 0.6)):
        scores = np.arange(rows) < right * rows
        answers = of_groups(["theo"] * rows, scores)
        slices = group_slices(answers, set, 0.95)
        assert unseen_groups(slices, "accuracy", None, 0)[1] == []


@pytest.mark.parametrize("confidence", [math.nan, 1 + 2e-16])
def test_a_confidence_that_is_no_share_promises_nothing(confidence):
    unseen = {"confidence": confidence, "right": 1.0, "rows": 50.0}
    assert _overconfident(unseen) == []
