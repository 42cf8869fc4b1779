"""Pictures of a classifier's answers, for the plain and the odd case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headrace.tasks.classification.pictures import draw_calibration, draw_confusion

IsPicture = Callable[[Path], bool]


@pytest.mark.parametrize("classes", [2, 40])
def test_confusion_of_few_and_many_classes(
    tmp_path: Path, is_picture: IsPicture, classes: int
) -> None:
    counts = np.diag(np.arange(classes))  # the first class has no rows
    names = [f"class {number}" for number in range(classes)]
    draw_confusion(counts, names, tmp_path / "confusion.png")
    assert is_picture(tmp_path / "confusion.png")


def test_calibration_with_empty_bins(tmp_path: Path, is_picture: IsPicture) -> None:
    bins = [
        {"rows": 0.0, "confidence": 0.0, "accuracy": 0.0},
        {"rows": 3.0, "confidence": 0.8, "accuracy": 0.7},
    ]
    draw_calibration(bins, tmp_path / "calibration.png")
    assert is_picture(tmp_path / "calibration.png")
