"""What the page of a run says of groups that its model did not learn from."""

from types import SimpleNamespace

import pytest

from headrace.evidence.metrics import group_sentences
from headrace.records import VAL_APART

UNSEEN = {"rows": 870.0, "word_error_rate": 0.1658, "confidence": 0.774, "right": 0.663}


def sentences(slices, metrics, task="transcription"):
    spec = SimpleNamespace(
        task=task,
        data=SimpleNamespace(group="speaker"),
        training=SimpleNamespace(calibrate=True),
    )
    return group_sentences(spec, SimpleNamespace(slices=slices, metrics=metrics))


@pytest.mark.parametrize(
    ("metrics", "where"),
    [
        ({VAL_APART: 1.0}, "groups that it did not learn from."),
        ({}, "groups that it learned from, so it promises too much of others."),
    ],
)
def test_unseen_groups_have_their_score_and_their_confidence(metrics, where):
    said = sentences({"groups=unseen": UNSEEN}, metrics)
    assert said == [
        "Of groups (speaker) that it did not learn from, the test split has 870 rows: "
        "word error rate 0.1658, mean confidence 0.77, 0.66 are right.",
        f"Its confidence was calibrated on {where}",
    ]


def test_of_known_groups_alone_it_says_that_others_were_not_measured():
    [said] = sentences({"groups=seen": UNSEEN}, {})
    assert "no other groups (speaker) than train" in said
    assert "test_groups in [data]" in said


def test_without_groups_nothing_is_said():
    assert sentences({}, {}) == []


def test_an_answer_without_confidence_is_told_by_its_score_alone():
    unseen = {"rows": 9.0, "absolute_error": 0.5}
    [said] = sentences({"groups=unseen": unseen}, {}, "regression")
    assert said.endswith("the test split has 9 rows: absolute error 0.5000.")
