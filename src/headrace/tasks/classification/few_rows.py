"""Gates and calibrations of a classification that rest on too few rows."""

from __future__ import annotations

import math

import numpy as np

from headrace.pipeline import GateSpec, PipelineSpec
from headrace.records import Finding
from headrace.tasks.forms import Targets
from headrace.tasks.intervals import z_of

# The root mean square error of a temperature is about 0.25 with 50 rows, and about 0.5
# with 10 (200 draws each, four classes, accuracies of 0.5 to 0.94).
CALIBRATION_ROWS = 50


def few_rows(spec: PipelineSpec, targets: Targets, val_rows: int) -> list[Finding]:
    """A gate of accuracy or a calibration that rests on too few rows."""
    findings = [
        finding
        for gate in spec.gates
        if gate.metric == "test_accuracy" and gate.direction == "min"
        if (finding := _few_rows_of(gate, targets, spec.evaluation.confidence))
    ]
    if spec.training.calibrate and val_rows < CALIBRATION_ROWS:
        message = (
            f"training.calibrate has {val_rows:,} validation rows to choose a "
            f"temperature by, and needs {CALIBRATION_ROWS}: the confidence of the "
            "answers is a rough estimate"
        )
        findings.append(
            Finding(check="few_rows", split="val", count=val_rows, message=message)
        )
    return findings


def _few_rows_of(gate: GateSpec, labels: Targets, confidence: float) -> Finding | None:
    """Whether the test rows can show that a model which just passes beats the majority.

    They can where the Wilson interval of its accuracy lies above the share of the
    largest class, which takes z^2 s (1 - s) / (t - s)^2 rows for a threshold t and a
    share s. Where t <= s, more rows do not help.
    """
    rows, threshold = len(labels), gate.threshold or 0.0
    share = float(np.bincount(labels).max()) / rows if rows else 1.0
    if not share < threshold <= 1:
        return None
    if rows >= (needed := rows_of_gate(threshold, share, confidence)):
        return None
    message = (
        f"the gate {gate.name!r} asks for {threshold:g} of {rows:,} test rows, and "
        f"needs {needed:,}: with fewer, a model that just passes is not shown to be "
        f"better than always answering the largest class ({share:.1%})"
    )
    return Finding(check="few_rows", split="test", count=rows, message=message)


def rows_of_gate(threshold: float, share: float, confidence: float) -> int:
    """The number of rows that distinguishes a threshold from a share below it."""
    z = z_of(confidence)
    return math.floor(z * z * share * (1 - share) / (threshold - share) ** 2) + 1
