"""Augmentation of images: what each field does to pixels."""

import numpy as np
import pytest

from headrace.imports.backend import load_backend
from headrace.media.image.augmentation import augment

KEYS = np.arange(64, dtype=np.int64) * 7919


@pytest.fixture(scope="module", autouse=True)
def _backend():
    load_backend()


def images(channels=3, size=9):
    shape = (len(KEYS), size, size, channels)
    return np.random.default_rng(1).uniform(0, 255, shape).astype(np.float32)


def augmented(items, **fields):
    return np.asarray(augment(items, KEYS, fields))


@pytest.mark.parametrize(("flip", "axis"), [("horizontal", 1), ("vertical", 0)])
def test_a_flip_mirrors_about_one_image_in_two(flip, axis):
    before = images()
    after = augmented(before, flip=flip)
    mirrored = [
        np.array_equal(one, np.flip(other, axis))
        for one, other in zip(after, before, strict=True)
    ]
    same = (after == before).all(axis=(1, 2, 3))
    assert 20 < sum(mirrored) < 44
    assert all(same ^ np.array(mirrored))


def test_both_flips_are_drawn_apart():
    corners = np.zeros((64, 2, 2, 1), np.float32)
    corners[:, 0, 0] = 1
    found = augmented(corners, flip="both").reshape(64, 4).argmax(axis=1)
    assert set(found) == {0, 1, 2, 3}


def test_a_crop_is_a_part_of_the_image_at_a_random_place():
    ramp = np.broadcast_to(
        np.arange(9, dtype=np.float32)[None, :, None, None], (64, 9, 9, 1)
    )
    rows = augmented(ramp, crop=0.5)[:, :, 4, 0]
    spans = rows[:, -1] - rows[:, 0]
    assert spans.min() >= 4 - 1e-4, "half of the sides is left"
    assert spans.max() <= 8
    assert np.ptp(spans) > 2
    assert rows.min() >= -1e-4, "nothing beyond the image is seen"
    assert rows.max() <= 8 + 1e-4
    assert np.ptp(rows[:, 0] / (8 - spans + 1e-6)) > 0.5, "at any place"
    np.testing.assert_allclose(
        np.diff(rows), np.diff(rows)[:, :1].repeat(8, 1), atol=1e-3
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_colour_changes_each_image_a_little_and_stays_in_range(channels):
    before = images(channels)
    after = augmented(before, colour=0.2)
    change = np.abs(after - before).mean(axis=(1, 2, 3))
    assert 1 < change.mean() < 40
    assert np.ptp(after.mean(axis=(1, 2, 3))) > np.ptp(before.mean(axis=(1, 2, 3))) + 5
    assert after.min() >= 0
    assert after.max() <= 255


def test_without_a_field_nothing_changes():
    np.testing.assert_array_equal(augmented(images()), images())
