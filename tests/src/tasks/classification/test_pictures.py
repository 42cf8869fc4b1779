"""Pictures of a classifier's answers, for the plain and the odd case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

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
