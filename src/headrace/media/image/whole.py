"""Checks of a whole set of images, on a sample of it.

Is the test split rotated, mirrored or inverted relative to train? Single images do not
show that, but their mean does. Does a mark give a class away?
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Expectation
from headrace.media.image.pixels import Pixels
from headrace.media.image.shrinking import Grey, blocks, shrunk
from headrace.records import DataDescription

_Transform = Callable[[Grey], Grey]

SAMPLE_ROWS = 2000
_FEWEST = 40
# Standard errors from the middle that an answer needs, and the largest such error.
_SURE, _WIDEST = 4.0, 0.15
_AS_LIKELY = 0.9
_POSITIONS = 4096
# JPEG changes most pixels of a mark by less.
_SAME = 16
_IN_CLASS = 0.98
# Natural values: one pixel reaches 0.92 for the zeros of 8 x 8 digits, 0.74 in MNIST.
_GIVEN_AWAY = 0.98
_FEWEST_IN_CLASS = 20


def set_columns(
    payload: Pixels,
    labels: Sequence[str],
    splits: Sequence[str],
    data: DataDescription,
) -> dict[str, npt.NDArray[np.float64]]:
    """Columns of a whole data set, arrays ``(1,)``.

    Args:
        payload: uint8 ``(n, height, width, channels)``, drawn at random; about 2,000
            of train and of test each are enough.
        labels, splits: ``(n,)``.

    Returns:
        ``test_inverted`` and ``test_turned``: -1 where the mean image of test is that
        of train, 1 where it is that of train inverted, or rotated or mirrored, and 0
        where neither is certain. ``class_mark``: how well the value of one pixel
        separates a class: the share of its images with that value, less the share of
        all others.
    """
    is_test = np.array([split == "test" for split in splits], bool)
    small = shrunk(payload)
    small -= small.mean(axis=(1, 2), keepdims=True)
    inverted, turned = _transformed(small[~is_test], small[is_test])
    mark = _class_mark(
        _positions(payload)[~is_test], np.array(labels, object)[~is_test]
    )
    values = {"test_inverted": inverted, "test_turned": turned, "class_mark": mark}
    return {name: np.array([value], np.float64) for name, value in values.items()}


def set_expectations(data: DataDescription) -> list[Expectation]:
    """The default contract on those columns."""
    limits = {
        "test_inverted": (0.5, "is the test split a negative?"),
        "test_turned": (0.5, "is the test split turned or mirrored?"),
        "class_mark": (_GIVEN_AWAY, "does a mark in the images give a class away?"),
    }
    return [
        Expectation(
            column,
            "expect_column_values_to_be_between",
            {"column": column, "min_value": -2, "max_value": limit},
            reason,
            warns=True,
        )
        for column, (limit, reason) in limits.items()
    ]


def _transforms(shape: tuple[int, ...]) -> list[_Transform]:
    transforms: list[_Transform] = [
        np.negative,
        lambda image: image[:, ::-1],
        lambda image: image[::-1],
        lambda image: image[::-1, ::-1],
    ]
    if shape[0] == shape[1]:
        transforms += [
            np.rot90,
            lambda image: np.rot90(image, -1),
            lambda image: image.T,
            lambda image: image[::-1, ::-1].T,
        ]
    return transforms


def _transformed(train: Grey, test: Grey) -> tuple[float, float]:
    """How much the test images are inverted, and how much rotated or mirrored."""
    if len(train) < _FEWEST or len(test) < _FEWEST:
        return 0.0, 0.0
    reference, other_train = train[::2].mean(axis=0), train[1::2]
    transforms = _transforms(reference.shape)
    mean = test.mean(axis=0)
    # The transform that fits best is the likeliest.
    fits = [float(np.vdot(transform(reference), mean)) for transform in transforms]
    best = int(np.argmax(fits))
    towards = transforms[best](reference) - reference
    half = float(np.vdot(towards, towards)) / 2
    if half <= 0:
        return 0.0, 0.0
    at_train, wide_train = _position(other_train, towards / half)
    at_test, wide_test = _position(test, towards / half)
    widest = max(wide_train, wide_test)
    if widest > _WIDEST or at_train + _SURE * wide_train > 0:
        return 0.0, 0.0
    if at_test - _SURE * wide_test < 0:
        return -1.0, -1.0
    # A slope from light to dark that is inverted equals that slope rotated.
    inverted, turned = (
        at_test if fit > _AS_LIKELY * fits[best] else -1.0
        for fit in (fits[0], max(fits[1:]))
    )
    return inverted, turned


def _position(images: Grey, towards: Grey) -> tuple[float, float]:
    """Where images lie from -1, the reference, to 1, its transform; and the error."""
    places = images.reshape(len(images), -1) @ towards.ravel()
    return float(places.mean()), float(places.std() / np.sqrt(len(places)))


def _class_mark(
    values: npt.NDArray[np.int16], labels: npt.NDArray[np.object_]
) -> float:
    best = 0.0
    for label in dict.fromkeys(labels.tolist()):
        inside = labels == label
        own, others = values[inside], values[~inside]
        if min(len(own), len(others)) < _FEWEST_IN_CLASS:
            continue
        mark = np.median(own, axis=0).astype(np.int16)
        share = (np.abs(own - mark) <= _SAME).mean(axis=0)
        likely = share >= _IN_CLASS
        if likely.any():
            theirs = (np.abs(others[:, likely] - mark[likely]) <= _SAME).mean(axis=0)
            best = max(best, float((share[likely] - theirs).max()))
    return best


def _positions(payload: Pixels) -> npt.NDArray[np.int16]:
    """The lightness at up to about 4,096 positions, ``(n, positions)``."""
    height, width, channels = payload.shape[1:]
    step = max(1, int(np.ceil(np.sqrt(height * width / _POSITIONS))))
    grid = payload[:, ::step, ::step]
    if channels == 1:
        return grid.reshape(len(grid), -1).astype(np.int16)
    lightness = np.empty(grid.shape[:3], np.int16)
    for span in blocks(grid):
        red, green, blue = np.moveaxis(grid[span].astype(np.int16), 3, 0)
        # With equal weights, red would equal blue.
        lightness[span] = (2 * red + 4 * green + blue) // 7
    return lightness.reshape(len(grid), -1)
