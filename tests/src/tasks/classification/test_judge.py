"""What is decided by too few rows is said, with the number that it takes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from headrace.spec import PipelineSpec
from headrace.tasks.classification.judge import (
    PART,
    draw_calibration,
    draw_confusion,
    rows_of_gate,
)
from headrace.tasks.classification.metrics import wilson_interval


def spec_of(threshold: float, calibrate: bool = False, **gate: Any) -> PipelineSpec:
    return PipelineSpec.model_validate(
        {
            "name": "letters",
            "medium": "text",
            "data": {"source": "letters.csv"},
            "model": {"builder": "bag_of_ngrams"},
            "training": {"calibrate": calibrate},
            "gates": [{"name": "accuracy", "threshold": threshold, **gate}],
        }
    )


def labels_of(*sizes: int) -> Any:
    return np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_gate_needs_the_rows_at_which_its_interval_clears_the_majority(
    share: float,
) -> None:
    threshold = (1 + share) / 2
    needed = rows_of_gate(threshold, share, 0.95)
    z = 1.959963984540054
    for rows, clear in ((needed, True), (needed - 1, False)):
        score = (threshold - share) / np.sqrt(share * (1 - share) / rows)
        assert bool(score > z) is clear


def test_the_interval_of_a_model_that_just_passes_clears_the_majority() -> None:
    needed = rows_of_gate(0.75, 0.5, 0.95)
    assert needed == 16
    assert wilson_interval(12, 16, 0.95)[0] > 0.5 > wilson_interval(9, 12, 0.95)[0]


def test_a_gate_on_too_few_rows_is_told_with_the_number_needed() -> None:
    (finding,) = PART.few_rows(spec_of(0.75), labels_of(6, 6), 100)
    assert (finding.check, finding.split, finding.count) == ("few_rows", "test", 12)
    assert finding.message == (
        "the gate 'accuracy' asks for 0.75 of 12 test rows, and needs 16: with fewer, "
        "a model that just passes is not shown to be better than always answering the "
        "largest class (50.0%)"
    )
    assert PART.few_rows(spec_of(0.75), labels_of(8, 8), 100) == []


def test_a_gate_below_the_majority_is_no_matter_of_rows() -> None:
    assert PART.few_rows(spec_of(0.5), labels_of(6, 6), 100) == []
    assert PART.few_rows(spec_of(0.9, direction="max"), labels_of(6, 6), 100) == []


def test_a_calibration_by_too_few_rows_is_told_with_the_number_needed() -> None:
    (finding,) = PART.few_rows(spec_of(0.5, calibrate=True), labels_of(50, 50), 2)
    assert (finding.check, finding.split, finding.count) == ("few_rows", "val", 2)
    assert finding.message == (
        "training.calibrate has 2 validation rows to choose a temperature by, and "
        "needs 50: the confidence of the answers is a rough estimate"
    )
    assert PART.few_rows(spec_of(0.5, calibrate=True), labels_of(50, 50), 50) == []
    assert PART.few_rows(spec_of(0.5, calibrate=False), labels_of(50, 50), 2) == []


IsPicture = Callable[[Path], bool]


@pytest.mark.parametrize("classes", [2, 40])
def test_confusion_of_few_and_many_classes(
    tmp_path: Path, is_picture: IsPicture, classes: int
) -> None:
    counts = np.diag(np.arange(classes))  # the first class has no rows
    names = [f"class {number}" for number in range(classes)]
    draw_confusion(counts, names, tmp_path / "confusion.png")
    assert is_picture(tmp_path / "confusion.png")


@pytest.mark.filterwarnings("error")
def test_classes_whose_letters_no_font_has_are_numbered(
    tmp_path: Path, is_picture: IsPicture, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda f, p, **o: (saved.append(f), save(f, p, **o))
    )
    names = ["cat", "\U0010fffd"]
    draw_confusion(np.eye(2, dtype=int), names, tmp_path / "confusion.png")
    assert is_picture(tmp_path / "confusion.png")
    texts = {text.get_text() for text in saved[0].findobj(Text)}
    assert {"1 (1)", "2 (1)"} <= texts
    assert any("classes are numbered" in text for text in texts)


def test_calibration_with_empty_bins(tmp_path: Path, is_picture: IsPicture) -> None:
    bins = [
        {"rows": 0.0, "confidence": 0.0, "accuracy": 0.0},
        {"rows": 3.0, "confidence": 0.8, "accuracy": 0.7},
    ]
    draw_calibration(bins, tmp_path / "calibration.png")
    assert is_picture(tmp_path / "calibration.png")
