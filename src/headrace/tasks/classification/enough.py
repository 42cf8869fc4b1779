"""Whether there are enough rows for what a pipeline decides by them."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from headrace.records import Finding
from headrace.spec import GateSpec, PipelineSpec
from headrace.tasks.classification.metrics import Labels

# The root mean square error of a temperature is about a quarter with 50 rows, and about
# a half with 10: 200 draws each of 50 rows, four classes, accuracies of 0.5 to 0.94.
CALIBRATION_ROWS = 50


def few_rows(spec: PipelineSpec, labels: Labels, val_rows: int) -> list[Finding]:
    """What is decided by too few rows, with the number that it takes.

    Args:
        spec: its gates, and whether the model is calibrated.
        labels: of the test split, int32 ``(n,)``.
        val_rows: the number of validation rows.
    """
    findings = [
        finding
        for gate in spec.gates
        if gate.metric == "test_accuracy" and gate.direction == "min"
        if (finding := _of_gate(gate, labels, spec.evaluation.confidence))
    ]
    if spec.training.calibrate and val_rows < CALIBRATION_ROWS:
        message = (
            f"training.calibrate has {val_rows:,} validation rows to choose a "
            f"temperature by, and needs {CALIBRATION_ROWS}: the confidence of the "
            "answers is a rough estimate"
        )
        found = Finding(check="few_rows", split="val", count=val_rows, message=message)
        findings.append(found)
    return findings


def _of_gate(gate: GateSpec, labels: Labels, confidence: float) -> Finding | None:
    """Whether a model that just passes is shown to beat the majority class.

    It is where the Wilson interval of its accuracy lies above the share of that class,
    which takes z^2 s (1 - s) / (t - s)^2 rows for a threshold t and a share s. A
    threshold below the share is not a matter of rows.
    """
    rows, threshold = len(labels), gate.threshold or 0.0
    if not rows:
        return None
    share = float(np.bincount(labels).max()) / rows
    if not share < threshold <= 1:
        return None
    needed = rows_of_gate(threshold, share, confidence)
    if rows >= needed:
        return None
    message = (
        f"the gate {gate.name!r} asks for {threshold:g} of {rows:,} test rows, and "
        f"needs {needed:,}: with fewer, a model that just passes is not shown to be "
        f"better than always answering the largest class ({share:.1%})"
    )
    return Finding(check="few_rows", split="test", count=rows, message=message)


def rows_of_gate(threshold: float, share: float, confidence: float) -> int:
    """How many rows a threshold takes to stand clear of a share below it."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return math.floor(z * z * share * (1 - share) / (threshold - share) ** 2) + 1
