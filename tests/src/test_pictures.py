"""Pictures are written as PNG for the plain and the odd case."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from headrace.media.image import draw_sample
from headrace.pictures import draw_curves, draw_mistakes
from headrace.records import DataDescription

IsPicture = Callable[[Path], bool]


def test_curves_of_one_epoch_without_val(tmp_path: Path, is_picture: IsPicture) -> None:
    epochs = [{"train_loss": 1.0, "train_accuracy": 0.5}]
    draw_curves(epochs, "accuracy", tmp_path / "curves.png")
    assert is_picture(tmp_path / "curves.png")


@pytest.mark.parametrize(("count", "channels"), [(1, 1), (7, 3)])
def test_mistakes_of_grey_and_coloured_samples(
    tmp_path: Path, is_picture: IsPicture, count: int, channels: int
) -> None:
    samples = np.random.default_rng(0).integers(
        0, 256, (count, 8, 8, channels), np.uint8
    )
    captions = [f"a taken for b\n{number}% sure" for number in range(count)]
    data = DataDescription(medium="image", shape=(8, 8, channels), classes=("a", "b"))
    draw = partial(draw_sample, data=data)
    draw_mistakes(samples, captions, draw, tmp_path / "mistakes.png")
    assert is_picture(tmp_path / "mistakes.png")
