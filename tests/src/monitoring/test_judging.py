"""An event takes labels, or drift with an estimated drop in two windows."""

import hashlib

import numpy as np
import pytest

from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import Bound
from headrace.monitoring.drift.profile import Profile, ProfileFacts, Rung
from headrace.monitoring.drift.verdict import Sign
from headrace.monitoring.history import with_new
from headrace.monitoring.judging import judge
from headrace.monitoring.scores import scores_with
from headrace.records import DataDescription

ROWS = 1000
BOUND = Bound(0.88, "the gate accuracy of version 1")
DATA = DataDescription(medium="image", shape=(4, 4, 1), target={"classes": ["a", "b"]})
DROP = Sign(inputs_drifted=False, answers_drifted=True, drop=True)


def confident(low, high):
    sure = np.linspace(low, high, ROWS, dtype=np.float32)
    return np.stack([sure, 1 - sure], axis=1)


def digests(start=0):
    texts = [str(n).encode() for n in range(start, start + ROWS)]
    return np.array([hashlib.sha256(text).hexdigest() for text in texts], object)


@pytest.fixture
def profile():
    """Of a version with an accuracy of 0.9, which its answers promise."""
    rung = Rung(
        family="noise", level=1, distance=2, columns={}, score=0.9, estimated=0.9
    )
    facts = ProfileFacts(
        model_digest="",
        description=DATA,
        rows=ROWS,
        temperature=1.0,
        score=0.9,
        low=0.88,
        high=0.92,
        estimated=0.9,
        rungs=(rung,),
    )
    scores = (np.arange(ROWS) % 10 > 0).astype(float)
    return Profile(facts, {}, confident(0.82, 0.98), scores, digests(-ROWS))


@pytest.fixture
def batch():
    """A window whose answers promise an accuracy of 0.84."""
    nothing = np.full(ROWS, "", object)
    return Batch("log", confident(0.76, 0.92), {}, digests(), nothing)


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
    assert judged.evidence is not None
    assert judged.evidence.score == pytest.approx(0.25)  # errors count up to 0.4


def test_one_answer_that_is_not_finite_breaks_a_bound_of_errors(profile):
    number = DataDescription(medium="image", shape=(4, 4, 1), task="regression")
    facts = profile.facts.model_copy(update={"description": number})
    errors = np.full(ROWS, 0.1)
    profile = Profile(facts, {}, np.zeros((ROWS, 1), np.float32), errors, digests())
    batch = Batch("log", profile.outputs[:0], {}, digests()[:0], digests()[:0])
    lost = with_new(scores(0, 0), digests()[:40], np.repeat([0.1, np.inf], [39, 1]))
    judged = judge(profile, batch, Bound(0.5, "the gate of version 1"), lost)
    assert judged.status == "degraded"


def test_one_estimate_below_the_bound_is_no_event(profile, batch):
    judged = judge(profile, batch, BOUND, scores(0, 0))
    assert judged.estimate.high < BOUND.value
    assert (judged.status, judged.event) == ("drift", False)
    again = judge(profile, batch, BOUND, scores(0, 0), [judged.sign])
    assert (again.status, again.event) == ("drift", True)
    assert "in 2 of the last 2 windows" in again.reason


def test_labels_of_the_window_silence_its_estimate(profile, batch):
    judged = judge(profile, batch, BOUND, scores(0, 45, 5), [DROP, DROP])
    assert (judged.status, judged.event, judged.sign.drop) == ("warning", False, False)
    assert "50 labels of this window keep the bound" in judged.reason
    assert judged.estimate.value == pytest.approx(0.84, abs=0.01)


@pytest.mark.parametrize(
    ("start", "right", "wrong"),
    [
        (0, 49, 0),  # too few
        (0, 43, 7),  # below the bound
        (ROWS, 60, 0),  # of other windows
    ],
)
def test_other_labels_do_not(profile, batch, start, right, wrong):
    judged = judge(profile, batch, BOUND, scores(start, right, wrong), [DROP])
    assert (judged.status, judged.event) == ("drift", True)


def test_labels_that_show_a_loss_are_an_event(profile, batch):
    judged = judge(profile, batch, BOUND, scores(ROWS, 10, 40))
    assert (judged.status, judged.event) == ("degraded", True)
