"""The numbers by which answers are judged, on arrays counted by hand."""

import math

import numpy as np

from headrace.tasks.synthesis import judge as measures

KEYS = np.array([[0, 0], [0, 0], [1, 1], [1, 0]])
HEARD = np.array([[0, 0], [0, 1], [1, 1], [0, 0]])


def test_text_and_speaker_are_counted_apart_and_together():
    metrics = measures.heard_metrics(HEARD, KEYS, 0.95)
    assert metrics["test_text_accuracy"] == 0.75
    assert metrics["test_speaker_accuracy"] == 0.75
    assert metrics["test_recognised"] == 0.5
    assert metrics["test_recognised_low"] < 0.5 < metrics["test_recognised_high"]


def test_each_text_is_a_slice(data):
    slices = measures.slices_of(HEARD, KEYS, data)
    assert slices == {
        "text=down": {"rows": 2, "text_accuracy": 1, "speaker_accuracy": 0.5},
        "text=up we go": {"rows": 2, "text_accuracy": 0.5, "speaker_accuracy": 1},
    }


def test_diversity_is_of_takes_of_one_text_and_speaker():
    profiles = np.array([[[0.0]], [[3.0]], [[50.0]], [[90.0]]], np.float32)
    assert measures.diversity(profiles, KEYS) == 3
    assert math.isnan(measures.diversity(profiles[1:], KEYS[1:]))


def test_the_nearest_recording_of_train():
    train = np.array([[[0.0]], [[10.0]]], np.float32)
    own = np.array([[[1.0]], [[6.0]]], np.float32)
    assert measures.nearest(own, train).tolist() == [1, 4]
