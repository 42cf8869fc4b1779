"""What can be told of a set of images only as a whole, from a sample of it.

Whether the test split is turned, mirrored or inverted against train: of a single image
that cannot be told, of the mean of many it can. And whether a mark gives a class away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Expectation
from headrace.media.image.pixels import Pixels
from headrace.media.image.shrinking import Grey, blocks, shrunk
from headrace.records import DataDescription

_Move = Callable[[Grey], Grey]

SAMPLE_ROWS = 2000
_FEWEST = 40
# Standard errors that an answer must be away from the middle, and the widest of them.
_SURE, _WIDEST = 4.0, 0.15
_AS_LIKELY = 0.9
_POSITIONS = 4096
# JPEG leaves most of a mark within this of its value.
_SAME = 16
_IN_CLASS = 0.98
# Of 8 x 8 digits, one pixel tells the zeros to 0.92; of MNIST, the ones to 0.74.
_GIVEN_AWAY = 0.98
_FEWEST_IN_CLASS = 20


def set_columns(
    payload: Pixels,
    labels: Sequence[str],
    splits: Sequence[str],
    data: DataDescription,
) -> dict[str, npt.NDArray[np.float64]]:
    """What can be told of a sample of a data set, each an array ``(1,)``.

    Args:
        payload: uint8 ``(n, height, width, channels)``, drawn at random; about 2,000
            of train and of test each are enough.
        labels: ``(n,)``.
        splits: ``train``, ``val`` or ``test``, ``(n,)``.
        data: what the data set is.

    Returns:
        ``test_inverted`` and ``test_turned``: -1 where the mean image of test is that
        of train, 1 where it is that of train inverted, or turned or mirrored, and 0
        where that cannot be told. ``class_mark``: how well the value of one pixel
        tells a class from all others: the share of the class that has it less the
        share of the others that do.
    """
    tested = np.array([split == "test" for split in splits], bool)
    small = shrunk(payload)
    small -= small.mean(axis=(1, 2), keepdims=True)
    inverted, turned = _moved(small[~tested], small[tested])
    mark = _class_mark(_positions(payload)[~tested], np.array(labels, object)[~tested])
    told = {"test_inverted": inverted, "test_turned": turned, "class_mark": mark}
    return {name: np.array([value], np.float64) for name, value in told.items()}


def set_expectations(data: DataDescription) -> list[Expectation]:
    """What is expected of those columns."""
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


def _moves(shape: tuple[int, ...]) -> list[_Move]:
    moves: list[_Move] = [
        np.negative,
        lambda image: image[:, ::-1],
        lambda image: image[::-1],
        lambda image: image[::-1, ::-1],
    ]
    if shape[0] == shape[1]:
        moves += [
            np.rot90,
            lambda image: np.rot90(image, -1),
            lambda image: image.T,
            lambda image: image[::-1, ::-1].T,
        ]
    return moves


def _moved(train: Grey, test: Grey) -> tuple[float, float]:
    """How much the test images are the train images inverted, and turned."""
    if len(train) < _FEWEST or len(test) < _FEWEST:
        return 0.0, 0.0
    known, held = train[::2].mean(axis=0), train[1::2]
    moves = _moves(known.shape)
    mean = test.mean(axis=0)
    # Whatever else was done to test, the move that fits best is the likeliest.
    fits = [float(np.vdot(move(known), mean)) for move in moves]
    best = int(np.argmax(fits))
    towards = moves[best](known) - known
    half = float(np.vdot(towards, towards)) / 2
    if half <= 0:
        return 0.0, 0.0
    at_train, wide_train = _position(held, towards / half)
    at_test, wide_test = _position(test, towards / half)
    widest = max(wide_train, wide_test)
    if widest > _WIDEST or at_train + _SURE * wide_train > 0:
        return 0.0, 0.0
    if at_test - _SURE * wide_test < 0:
        return -1.0, -1.0
    # The negative of a slope from light to dark is also that slope turned.
    inverted, turned = (
        at_test if fit > _AS_LIKELY * fits[best] else -1.0
        for fit in (fits[0], max(fits[1:]))
    )
    return inverted, turned


def _position(images: Grey, towards: Grey) -> tuple[float, float]:
    """Where images lie between -1, as known, and 1, as moved; and its error."""
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
    """The lightness at each of at most about 4,096 places, ``(n, places)``."""
    height, width, channels = payload.shape[1:]
    step = max(1, int(np.ceil(np.sqrt(height * width / _POSITIONS))))
    seen = payload[:, ::step, ::step]
    if channels == 1:
        return seen.reshape(len(seen), -1).astype(np.int16)
    lightness = np.empty(seen.shape[:3], np.int16)
    for span in blocks(seen):
        red, green, blue = np.moveaxis(seen[span].astype(np.int16), 3, 0)
        # Channels of one weight would not tell red from blue.
        lightness[span] = (2 * red + 4 * green + blue) // 7
    return lightness.reshape(len(seen), -1)
