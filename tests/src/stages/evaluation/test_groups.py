"""Accuracy by group, and whether unseen groups differ."""

import numpy as np
import pytest

from headrace.records import DataDescription
from headrace.stages.evaluation.answers import AnsweredSplit, Worst
from headrace.stages.evaluation.groups import _parts, different, group_slices
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
    slices = group_slices(answers, _parts(answers.groups, {"ann"}), 0.95)
    assert {name: (s["rows"], s["accuracy"]) for name, s in slices.items()} == {
        "groups=seen": (4, 0.75),
        "groups=unseen": (2, 0.5),
        "group=ann": (4, 0.75),
        "group=bob": (2, 0.5),
    }
    assert slices["group=ann"]["accuracy_low"] < 0.75


def test_the_confidence_of_groups_stands_beside_what_is_right():
    right = np.arange(400) % 5 < 3
    answers = of_groups(["theo"] * 400, right)
    slices = group_slices(answers, _parts(answers.groups, ()), 0.95)
    unseen = slices["groups=unseen"]
    assert (unseen["confidence"], unseen["right"]) == (pytest.approx(0.8), 0.6)


def test_rows_without_groups_have_no_parts():
    assert _parts(["", ""], ()) == {}


@pytest.mark.parametrize(("unseen", "told"), [(50, True), (80, False), (100, True)])
def test_unseen_groups_that_differ_beyond_chance_are_a_finding(unseen, told):
    """80 of 100 rows of seen groups are right."""
    right = np.arange(200) % 100 < np.repeat([80, unseen], 100)
    groups = ["ann"] * 100 + ["bob"] * 100
    found = different(of_groups(groups, right), _parts(groups, {"ann"}), "accuracy")
    assert len(found) == told
    for finding in found:
        assert (finding.check, finding.split) == ("unseen_groups", "test")
        assert finding.count == 100
        shares = f"{unseen / 100:.4f} on groups that are not in train (100 rows)"
        assert shares in finding.message


@pytest.mark.parametrize("train", [(), {"ann", "bob"}])
def test_groups_that_are_all_seen_or_all_unseen_are_not_compared(train):
    groups = ["ann"] * 100 + ["bob"] * 100
    right = np.arange(200) < 100
    assert different(of_groups(groups, right), _parts(groups, train), "accuracy") == []
