"""What can be told of a set of images only as a whole."""

import numpy as np
import pytest

from headrace.media.image import MEDIUM as image
from headrace.records import DataDescription

DATA = DataDescription(medium="image", shape=(16, 16, 1), classes=("a", "b"))


def _set(count, seed, width=16):
    """An L of bright noise on black, a little elsewhere each time."""
    rng = np.random.default_rng(seed)
    made = np.zeros((count, 16, width, 1), np.uint8)
    for picture, (top, left) in zip(made, rng.integers(2, 5, (count, 2)), strict=True):
        noise = rng.integers(120, 256, (8, 6, 1))
        picture[top : top + 8, left : left + 2] = noise[:, :2]
        picture[top + 6 : top + 8, left : left + 6] = noise[6:]
    return made


def _told(train, test, labels=None):
    payload = np.concatenate([train, test])
    splits = ["train"] * len(train) + ["test"] * len(test)
    labels = labels or ["a", "b"] * (len(payload) // 2)
    told = image.set_columns(payload, labels, splits, DATA)
    assert {(column.shape, column.dtype.name) for column in told.values()} == {
        ((1,), "float64")
    }
    return {name: float(column[0]) for name, column in told.items()}


MOVES = {
    "mirrored": lambda x: x[:, :, ::-1],
    "upside down": lambda x: x[:, ::-1],
    "half a turn": lambda x: x[:, ::-1, ::-1],
    "a turn left": lambda x: np.rot90(x, 1, (1, 2)),
    "a turn right": lambda x: np.rot90(x, -1, (1, 2)),
    "transposed": lambda x: x.transpose(0, 2, 1, 3),
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
def test_a_test_split_that_is_turned_is_told(move):
    told = _told(_set(200, 0), move(_set(100, 1)))

    assert told["test_turned"] == pytest.approx(1, abs=0.2)
    assert told["test_inverted"] == -1


def test_a_test_split_that_is_a_negative_is_told():
    told = _told(_set(200, 0), 255 - _set(100, 1))

    assert told["test_inverted"] == pytest.approx(1, abs=0.2)
    assert told["test_turned"] == -1


def test_a_test_split_like_train_is_neither():
    told = _told(_set(200, 0), _set(100, 1))

    assert (told["test_inverted"], told["test_turned"]) == (-1, -1)


@pytest.mark.parametrize("sizes", [(200, 10), (10, 200), (200, 0)])
def test_of_few_images_nothing_is_told(sizes):
    train, test = (_set(count, seed) for seed, count in enumerate(sizes))

    told = _told(train, 255 - test)

    assert (told["test_inverted"], told["test_turned"]) == (0, 0)


def test_where_the_mean_image_is_even_nothing_is_told():
    noise = np.random.default_rng(0).integers(0, 256, (300, 16, 16, 1), np.uint8)

    told = _told(noise[:200], 255 - noise[200:, ::-1])

    assert (told["test_inverted"], told["test_turned"]) == (0, 0)


def test_images_that_are_not_square_can_be_upside_down():
    told = _told(_set(200, 0, width=20), _set(100, 1, width=20)[:, ::-1])

    assert told["test_turned"] == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_mark_that_gives_a_class_away_is_told(channels):
    rng = np.random.default_rng(0)
    payload = rng.integers(0, 200, (200, 90, 90, channels), np.uint8)
    labels = ["a", "b"] * 100
    unmarked = _told(payload, payload[:0], labels)["class_mark"]
    payload[::2, 3:7, 3:7] = 250

    marked = _told(payload, payload[:0], labels)["class_mark"]

    assert unmarked < 0.5
    assert marked == 1


def test_what_all_classes_share_gives_none_away():
    payload = _set(200, 0)
    payload[:, 0:2, 0:2] = 255

    assert _told(payload, payload[:0])["class_mark"] < 0.5


def test_a_class_of_few_images_has_no_mark():
    payload = _set(200, 0)
    payload[:10] = 255

    told = _told(payload, payload[:0], ["a"] * 10 + ["b"] * 190)

    assert told["class_mark"] == 0


def test_expectations_warn_of_those_columns():
    told = _told(_set(60, 0), _set(60, 1))

    expected = image.set_expectations(DATA)

    assert [e.check for e in expected] == list(told)
    assert all(e.warns and e.reason for e in expected)
    for e in expected:
        assert e.arguments["min_value"] <= told[e.check] <= e.arguments["max_value"]


def test_where_a_mark_is_found_by_class_with_a_margin():
    payload = _set(200, 0)
    payload[::2, 0:2, 0:2] = 255
    labels = np.array(["a", "b"] * 100)

    found = image.marks(payload, labels)

    assert list(found) == ["a", "b"], "of two classes, the other one lacks it"
    assert found["a"].sum() == 9
    assert found["a"][:3, :3].all()
    covered = image.cover(payload[:2], found["a"], payload[1:3])
    assert (covered[0, :3, :3] == payload[1, :3, :3]).all()
    assert (covered[0, 3:] == payload[0, 3:]).all()


def test_a_mark_in_large_images_is_found_whole():
    payload = np.random.default_rng(0).integers(0, 200, (80, 200, 150, 3), np.uint8)
    payload[::2, 90:110, 40:60] = 250

    found = image.marks(payload, np.arange(80) % 2)

    assert found[0].shape == (200, 150)
    assert found[0][90:110, 40:60].all()
    assert found[0].sum() < 30 * 30
