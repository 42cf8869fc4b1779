"""Every ladder changes items in its families, keeps their form, and is repeatable."""

import io

import numpy as np
import pytest
from PIL import Image

from headrace.media import ladder, medium
from headrace.records import DataDescription

TEXTS = ["Win a £100 prize now", "see you at seven then", "好好学习天天向上" * 4]
IMAGE = DataDescription(medium="image", shape=(16, 12, 3))
TEXT = DataDescription(medium="text", shape=(128,))
SOUND = DataDescription(medium="audio", shape=(4000,), sample_rate_hz=8000)


def _items(data):
    random = np.random.default_rng(0)
    if data.medium == "text":
        encoded = [text.encode().ljust(128, b"\0") for text in TEXTS]
        return np.array([np.frombuffer(text, np.uint8) for text in encoded])
    if data.medium == "image":
        return random.integers(0, 200, (5, *data.shape), np.uint8)
    items = random.integers(-9000, 9000, (5, *data.shape)).astype(np.int16)
    items[:, 3000:] = 0
    return items


@pytest.mark.parametrize("data", [IMAGE, TEXT, SOUND], ids=lambda data: data.medium)
def test_each_rung_changes_items_and_keeps_their_form(data):
    steps, items = ladder(data.medium), _items(data)
    assert steps is not None
    before, module = items.copy(), medium(data.medium)

    rungs = steps.rungs(data)

    assert {family for family, _ in rungs} == set(steps.UNITS)
    for family, level in rungs:
        once, again = (
            steps.shifted(items, family, level, data, np.random.default_rng(3))
            for _ in range(2)
        )
        assert once.dtype == module.DTYPE
        assert len(once) == len(items)
        np.testing.assert_array_equal(once, again)
        np.testing.assert_array_equal(items, before)
        assert len(module.raw(once)) == len(items)
        assert "blank" in module.columns(once, [""] * len(once), data)
    hardest = {family: level for family, level in rungs}
    for family, level in hardest.items():
        shifted = steps.shifted(items, family, level, data, np.random.default_rng(3))
        assert shifted.shape != items.shape or (shifted != items).any(), family
    with pytest.raises(ValueError, match="have no family 'magic'"):
        steps.shifted(items, "magic", 1, data, np.random.default_rng(0))


def test_noise_is_as_loud_as_its_level_says():
    items = _items(SOUND)

    noisy = ladder("audio").shifted(items, "noise", 20, SOUND, np.random.default_rng(0))

    apart = (noisy.astype(float) - items)[:, :3000]
    ratio = np.square(items[:, :3000].astype(float)).mean() / np.square(apart).mean()
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.2)
    assert (noisy[:, 3000:] == 0).all()


def climb(items, data, family, level):
    return ladder(data.medium).shifted(
        items, family, level, data, np.random.default_rng(0)
    )


def test_an_image_of_one_colour_survives_jpeg_and_a_pattern_does_not():
    plain = np.full((1, 16, 16, 3), 90, np.uint8)
    data = DataDescription(medium="image", shape=(16, 16, 3))
    assert np.abs(climb(plain, data, "jpeg", 75).astype(int) - 90).max() <= 1
    board = np.indices((16, 16)).sum(axis=0)[None, :, :, None] % 2 * 255
    errors = [
        np.abs(climb(board.astype(np.uint8), data, "jpeg", quality) - board).mean()
        for quality in (75, 25, 5)
    ]
    assert errors == sorted(errors)
    assert errors[0] < errors[2]


@pytest.mark.parametrize("shape", [(28, 28, 1), (16, 12, 3), (30, 33, 3)])
def test_each_image_is_the_jpeg_that_it_would_be_alone(shape):
    waves = np.sin(np.arange(5 * np.prod(shape)) ** 1.1 / 40).reshape(5, *shape)
    items = (120 + 90 * waves).astype(np.uint8)
    data = DataDescription(medium="image", shape=shape)
    for quality in (75, 25):
        together = climb(items, data, "jpeg", quality)
        alone = [climb(item[None], data, "jpeg", quality) for item in items]
        np.testing.assert_array_equal(together, np.concatenate(alone))
        file = io.BytesIO()
        first = Image.fromarray(items[0, :, :, 0] if shape[2] == 1 else items[0])
        first.save(file, "JPEG", quality=quality)
        saved = np.asarray(Image.open(file)).reshape(shape).astype(int)
        assert np.abs(together[0] - saved).mean() < 2


def tone(hertz):
    sound = np.sin(2 * np.pi * hertz * np.arange(4000) / 8000)
    return (9000 * sound).astype(np.int16)[None]


def test_a_low_pass_takes_high_tones_and_keeps_low_ones():
    for hertz, is_kept in ((3000, False), (200, True)):
        passed = climb(tone(hertz), SOUND, "low-pass", 0.2).astype(float)
        assert (passed.std() > 0.9 * tone(hertz).std()) == is_kept
        assert (passed.std() < 0.1 * tone(hertz).std()) != is_kept
