"""An event takes labels, or two windows that drifted and may have lost."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import Bound
from headrace.monitoring.history import with_new
from headrace.monitoring.judging import judge
from headrace.monitoring.late_labels import scores_with
from headrace.monitoring.profiles import Profile, ProfileFacts
from headrace.records import DataDescription

ROWS = 1000
BOUND = Bound(0.88, "the gate accuracy of version 1")
DATA = DataDescription(medium="image", shape=(4, 4, 1), target={"classes": ["a", "b"]})


def confident(low, high):
    sure = np.linspace(low, high, ROWS, dtype=np.float32)
    return np.stack([sure, 1 - sure], axis=1)


def digests(start=0):
    texts = [str(n).encode() for n in range(start, start + ROWS)]
    return np.array([hashlib.sha256(text).hexdigest() for text in texts], object)


@pytest.fixture
def profile():
    """Of a version with an accuracy of 0.9, which its answers promise."""
    facts = ProfileFacts(
        model_digest="",
        description=DATA,
        rows=ROWS,
        temperature=1.0,
        score=0.9,
        low=0.88,
        high=0.92,
    )
    scores = (np.arange(ROWS) % 10 > 0).astype(float)
    return Profile(facts, {}, confident(0.82, 0.98), scores, digests(-ROWS))


def batch_of(columns, outputs):
    return Batch("log", outputs, columns, digests(), np.full(ROWS, "", object))


@pytest.fixture
def batch():
    """A window whose answers are less confident, which is significant."""
    return batch_of({}, confident(0.76, 0.92))


def scores(start, right, wrong=0):
    """Scores of items; those of the window begin at 0."""
    values = np.repeat([1.0, 0.0], [right, wrong])
    nothing = np.empty(0, [("mark", "S32"), ("score", np.float64)])
    return with_new(nothing, digests(start)[: len(values)], values)


def test_an_answer_that_is_not_finite_has_the_worst_score():
    """The rows: a right answer, one of NaN, and one of NaN whose label is unknown."""
    number = DataDescription(medium="image", shape=(4, 4, 1), task="regression")
    outputs = np.array([[1.5], [np.nan], [np.nan]], np.float32)
    labels = np.array(["2", "3", "unknown"], object)
    batch = Batch("data", outputs, {}, digests()[:3], labels)
    nothing = scores(0, 0)
    assert scores_with(nothing, batch, number, "x")["score"].tolist() == [0.5, np.inf]
    sure = np.array([[0.9, 0.1], [np.nan, np.nan]], np.float32)
    batch = Batch("data", sure, {}, digests()[:2], np.array(["a", "a"], object))
    assert scores_with(nothing, batch, DATA, "x")["score"].tolist() == [1.0, 0.0]


def test_errors_without_bound_show_a_loss_and_have_no_mean(profile):
    number = DataDescription(medium="image", shape=(4, 4, 1), task="regression")
    facts = profile.facts.model_copy(update={"description": number})
    errors = np.full(ROWS, 0.1)
    profile = Profile(facts, {}, np.zeros((ROWS, 1), np.float32), errors, digests())
    batch = Batch("log", profile.outputs[:0], {}, digests()[:0], digests()[:0])
    lost = with_new(scores(0, 0), digests()[:40], np.repeat([0.1, np.inf], 20))
    judged = judge(profile, batch, Bound(0.2, "the gate of version 1"), lost)
    assert judged.status == "degraded"
    assert judged.labelled is not None
    assert judged.labelled.score == pytest.approx(0.25)  # errors count up to 0.4


def test_one_answer_that_is_not_finite_breaks_a_bound_of_errors(profile):
    number = DataDescription(medium="image", shape=(4, 4, 1), task="regression")
    facts = profile.facts.model_copy(update={"description": number})
    errors = np.full(ROWS, 0.1)
    profile = Profile(facts, {}, np.zeros((ROWS, 1), np.float32), errors, digests())
    batch = Batch("log", profile.outputs[:0], {}, digests()[:0], digests()[:0])
    lost = with_new(scores(0, 0), digests()[:40], np.repeat([0.1, np.inf], [39, 1]))
    judged = judge(profile, batch, Bound(0.5, "the gate of version 1"), lost)
    assert judged.status == "degraded"


def test_answers_that_drifted_in_two_windows_are_an_event_that_asks_for_labels(
    profile, batch
):
    judged = judge(profile, batch, BOUND, scores(0, 0))
    assert not judged.estimate.valid
    assert (judged.status, judged.suspicious, judged.event) == ("drift", True, False)
    assert "label some of its items" in judged.reason
    again = judge(profile, batch, BOUND, scores(0, 0), [True, False])
    assert (again.status, again.event) == ("drift", True)
    assert "in 2 of the last 3 windows" in again.reason
    late = judge(profile, batch, BOUND, scores(0, 0), [True, False, False])
    assert (late.status, late.event) == ("drift", False)


def test_a_window_like_the_reference_is_no_event_after_any_others(profile):
    same = batch_of({}, profile.outputs)
    judged = judge(profile, same, BOUND, scores(0, 0), [True, True])
    assert (judged.status, judged.suspicious, judged.event) == ("ok", False, False)
    assert "the score is estimated as 0.9" in judged.reason


def test_inputs_that_drift_alone_warn_however_often(profile):
    columns = {"mean": np.arange(ROWS, dtype=float)}
    profile = replace(profile, columns=columns)
    darker = batch_of({"mean": columns["mean"] - ROWS}, profile.outputs)
    judged = judge(profile, darker, BOUND, scores(0, 0), [True, True])
    assert (judged.status, judged.suspicious, judged.event) == ("warning", False, False)


def test_an_estimated_drop_is_suspicious_where_inputs_drifted(profile):
    """Answers that lost confidence by less than their own test sees."""
    columns = {"mean": np.arange(ROWS, dtype=float)}
    facts = profile.facts.model_copy(update={"score": 0.95})
    profile = replace(profile, facts=facts, columns=columns)
    moved = batch_of({"mean": columns["mean"] - ROWS}, profile.outputs)
    judged = judge(profile, moved, BOUND, scores(0, 0), [True])
    assert judged.estimate.shows_drop
    assert (judged.status, judged.event) == ("drift", True)


def test_labels_of_the_window_that_keep_the_bound_silence_it(profile, batch):
    judged = judge(profile, batch, BOUND, scores(0, 45, 5), [True, True])
    assert (judged.status, judged.suspicious, judged.event) == ("warning", False, False)
    assert "50 labels of this window keep the bound" in judged.reason


@pytest.mark.parametrize(
    ("start", "right", "wrong"),
    [
        (0, 49, 0),  # too few
        (0, 43, 7),  # below the bound
        (ROWS, 60, 0),  # of other windows
    ],
)
def test_other_labels_do_not(profile, batch, start, right, wrong):
    judged = judge(profile, batch, BOUND, scores(start, right, wrong), [True])
    assert (judged.status, judged.event) == ("drift", True)


def test_labels_that_show_a_loss_are_an_event(profile, batch):
    judged = judge(profile, batch, BOUND, scores(ROWS, 10, 40))
    assert (judged.status, judged.event) == ("degraded", True)
    assert "50 labels show a mean score that breaks the bound 0.88" in judged.reason
    assert judged.labelled.origin == "the gate accuracy of version 1"
    few = replace(batch, outputs=batch.outputs[:3], items=batch.items[:3])
    judged = judge(profile, few, BOUND, scores(ROWS, 10, 40))
    assert (judged.status, judged.suspicious, judged.event) == ("degraded", None, True)


def test_few_items_are_not_tested(profile, batch):
    few = replace(batch, outputs=batch.outputs[:19], items=batch.items[:19])
    judged = judge(profile, few, BOUND, scores(0, 0), [True, True])
    assert (judged.status, judged.suspicious, judged.event) == ("too few", None, False)
    assert judged.comparison == ((), ())
    assert "19 different items are too few to test: 20 are needed" in judged.reason
