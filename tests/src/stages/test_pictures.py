"""Pictures are written as PNG for the plain and the odd case."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from headrace.media.image import draw_sample
from headrace.records import DataDescription
from headrace.stages.pictures import (
    draw_calibration,
    draw_confusion,
    draw_curves,
    draw_mistakes,
)


def is_picture(path: Path) -> bool:
    """A PNG of some size with more than one colour in it."""
    with Image.open(path) as image:
        colours = image.convert("L").getextrema()
        return (
            image.format == "PNG" and min(image.size) > 100 and colours[0] != colours[1]
        )


def test_curves_of_one_epoch_without_val(tmp_path: Path) -> None:
    draw_curves([{"train_loss": 1.0, "train_accuracy": 0.5}], tmp_path / "curves.png")
    assert is_picture(tmp_path / "curves.png")


@pytest.mark.parametrize("classes", [2, 40])
def test_confusion_of_few_and_many_classes(tmp_path: Path, classes: int) -> None:
    counts = np.diag(np.arange(classes))  # the first class has no rows
    names = [f"class {number}" for number in range(classes)]
    draw_confusion(counts, names, tmp_path / "confusion.png")
    assert is_picture(tmp_path / "confusion.png")


def test_calibration_with_empty_bins(tmp_path: Path) -> None:
    bins = [
        {"rows": 0.0, "confidence": 0.0, "accuracy": 0.0},
        {"rows": 3.0, "confidence": 0.8, "accuracy": 0.7},
    ]
    draw_calibration(bins, tmp_path / "calibration.png")
    assert is_picture(tmp_path / "calibration.png")


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 3)])
def test_mistakes_of_grey_and_coloured_samples(
    tmp_path: Path, count: int, channels: int
) -> None:
    samples = np.random.default_rng(0).integers(
        0, 256, (count, 8, 8, channels), np.uint8
    )
    captions = [f"a taken for b\n{number}% sure" for number in range(count)]
    data = DataDescription(medium="image", shape=(8, 8, channels), classes=("a", "b"))
    draw = partial(draw_sample, data=data)
    draw_mistakes(samples, captions, draw, tmp_path / "mistakes.png")
    assert is_picture(tmp_path / "mistakes.png")
