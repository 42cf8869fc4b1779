"""The metrics of a classifier's probabilities, computed from arrays alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from headrace.records import Metrics

Probabilities = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int32]


def wilson_interval(right: int, rows: int, confidence: float) -> tuple[float, float]:
    """The Wilson score interval of a share.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical
    inference, JASA 22 (1927).
    """
    if not rows:
        return math.nan, math.nan
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, weight = right / rows, z * z / rows
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / rows + weight / rows / 4)
    return centre - half, centre + half


def confusion(labels: Labels, predicted: Labels, classes: int) -> npt.NDArray[np.int64]:
    """The confusion matrix ``(classes, classes)``; rows are the true label."""
    flat = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return flat.reshape(classes, classes)


def calibration_bins(
    probabilities: Probabilities, labels: Labels, bins: int
) -> list[Metrics]:
    """Rows, mean confidence and accuracy in equal bins of confidence."""
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    index = (np.nan_to_num(confidence.clip(0, 1)) * bins).astype(int).clip(max=bins - 1)
    return [
        {
            "rows": float(rows.sum()),
            "confidence": float(confidence[rows].mean()) if rows.any() else 0.0,
            "accuracy": float(right[rows].mean()) if rows.any() else 0.0,
        }
        for rows in (index == number for number in range(bins))
    ]


def calibration_error(bins: Sequence[Metrics]) -> float:
    """Expected calibration error: the mean gap between accuracy and confidence.

    Source: M. P. Naeini, G. F. Cooper, M. Hauskrecht, Obtaining well calibrated
    probabilities using Bayesian binning, AAAI 2015.
    """
    rows = sum(b["rows"] for b in bins)
    gaps = sum(b["rows"] * abs(b["accuracy"] - b["confidence"]) for b in bins)
    return gaps / rows if rows else math.nan


def classification_metrics(
    probabilities: Probabilities,
    labels: Labels,
    classes: Sequence[str],
    confidence: float,
    bins: int,
) -> tuple[Metrics, dict[str, Metrics]]:
    """Metrics of the test split, and of each class as a slice.

    Args:
        probabilities: float32 ``(n, classes)``.
        labels: int32 ``(n,)``.
        classes: names, in the order of the probabilities.
        confidence: of the intervals.
        bins: of the calibration error.
    """
    predicted = probabilities.argmax(axis=1).astype(np.int32)
    counts = confusion(labels, predicted, len(classes))
    right, rows = int(np.trace(counts)), len(labels)
    low, high = wilson_interval(right, rows, confidence)
    support, answers = counts.sum(axis=1), counts.sum(axis=0)
    hits = np.diag(counts)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall, precision = hits / support, np.where(answers, hits / answers, 0.0)
        f1 = 2 * hits / (support + answers)
    true = np.clip(probabilities[np.arange(rows), labels].astype(np.float64), 1e-7, 1)
    names = ("rows", "recall", "precision", "f1")
    table = np.stack([support, recall, precision, f1], axis=1).tolist()
    slices = {
        f"class={label}": dict(zip(names, numbers, strict=True))
        for label, numbers in zip(classes, table, strict=True)
    }
    filled = calibration_bins(probabilities, labels, bins)
    return {
        "test_accuracy": right / rows,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_log_loss": float(-np.log(true).mean()),
        "test_calibration_error": calibration_error(filled),
        "test_class_recall_min": float(recall.min()),
        "test_macro_f1": float(f1.mean()),
        "non_finite_values": float((~np.isfinite(probabilities)).sum()),
    }, slices
