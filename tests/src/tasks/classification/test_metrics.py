"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from headrace.tasks.classification.metrics import (
    calibration_bins,
    calibration_error,
    classification_metrics,
    confusion,
    wilson_interval,
)

# Five rows of three classes; right, right, wrong (0 for 1), right, wrong (2 for 0).
GIVEN = np.array(
    [
        [0.85, 0.10, 0.05],
        [0.15, 0.75, 0.10],
        [0.65, 0.25, 0.10],
        [0.00, 0.05, 0.95],
        [0.25, 0.20, 0.55],
    ],
    np.float32,
)
LABELS = np.array([0, 1, 1, 2, 0], np.int32)


def test_the_wilson_interval_of_eight_of_ten() -> None:
    # centre (0.8 + z²/20) / (1 + z²/10), z = 1.959964
    low, high = wilson_interval(8, 10, 0.95)
    assert low == pytest.approx(0.490162, abs=1e-6)
    assert high == pytest.approx(0.943318, abs=1e-6)


def test_the_wilson_interval_stays_between_nothing_and_all() -> None:
    assert wilson_interval(0, 10, 0.95) == pytest.approx((0, 0.277533), abs=1e-6)
    assert wilson_interval(10, 10, 0.95) == pytest.approx((0.722467, 1), abs=1e-6)
    assert all(math.isnan(bound) for bound in wilson_interval(0, 0, 0.95))


def test_confusion_counts_true_by_predicted() -> None:
    predicted = GIVEN.argmax(axis=1).astype(np.int32)
    assert confusion(LABELS, predicted, 3).tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 1]]


def test_calibration_is_the_mean_gap_of_accuracy_and_confidence() -> None:
    bins = calibration_bins(GIVEN, LABELS, 2)
    # All confidences are at least 0.5: (0.85 + 0.75 + 0.65 + 0.95 + 0.55) / 5.
    assert bins[0] == {"rows": 0.0, "confidence": 0.0, "accuracy": 0.0}
    assert bins[1] == pytest.approx({"rows": 5, "confidence": 0.75, "accuracy": 0.6})
    assert calibration_error(bins) == pytest.approx(0.15)
    # In tenths each row has its own: 0.15 + 0.25 + 0.65 + 0.05 + 0.55 over five rows.
    tenths = calibration_error(calibration_bins(GIVEN, LABELS, 10))
    assert tenths == pytest.approx(0.33)


def test_full_confidence_falls_in_the_last_bin() -> None:
    bins = calibration_bins(np.array([[1, 0]], np.float32), np.array([0], np.int32), 10)
    assert [b["rows"] for b in bins] == [0.0] * 9 + [1.0]


def test_no_rows_have_no_calibration_error() -> None:
    assert math.isnan(calibration_error([]))


def test_classification_metrics_by_hand() -> None:
    metrics, slices = classification_metrics(GIVEN, LABELS, ("a", "b", "c"), 0.95, 10)
    assert metrics["test_accuracy"] == 3 / 5
    losses = -np.log([0.85, 0.75, 0.25, 0.95, 0.25])
    assert metrics["test_log_loss"] == pytest.approx(losses.mean(), abs=1e-6)
    assert metrics["test_class_recall_min"] == 0.5
    assert metrics["non_finite_values"] == 0
    # f1: a 2/4, b 2/3, c 2/3
    assert metrics["test_macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 2 / 3) / 3)
    assert slices["class=a"] == {"rows": 2, "recall": 0.5, "precision": 0.5, "f1": 0.5}
    assert slices["class=b"] == pytest.approx(
        {"rows": 2, "recall": 0.5, "precision": 1, "f1": 2 / 3}
    )
    assert slices["class=c"] == pytest.approx(
        {"rows": 1, "recall": 1, "precision": 0.5, "f1": 2 / 3}
    )
    assert (metrics["test_accuracy_low"], metrics["test_accuracy_high"]) == (
        wilson_interval(3, 5, 0.95)
    )


def test_a_class_without_rows_has_no_recall_and_no_floor() -> None:
    metrics, slices = classification_metrics(
        GIVEN[:2], LABELS[:2], ("a", "b", "c"), 0.95, 10
    )
    assert math.isnan(slices["class=c"]["recall"])
    assert math.isnan(metrics["test_class_recall_min"])


def test_values_that_are_not_finite_are_counted() -> None:
    given = GIVEN.copy()
    given[0, 1], given[3, 2] = np.nan, np.inf
    metrics, _ = classification_metrics(given, LABELS, ("a", "b", "c"), 0.95, 10)
    assert metrics["non_finite_values"] == 2
    assert math.isnan(metrics["test_calibration_error"])
