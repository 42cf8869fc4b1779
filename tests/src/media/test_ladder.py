"""Every ladder changes items in its families, keeps their form, and is repeatable."""

from __future__ import annotations

import numpy as np
import pytest

from headrace.media import ladder, medium
from headrace.records import DataDescription

TEXTS = ["Win a £100 prize now", "see you at seven then", "好好学习天天向上" * 4]
IMAGE = DataDescription(medium="image", shape=(16, 12, 3))
TEXT = DataDescription(medium="text", shape=(128,))
SOUND = DataDescription(medium="audio", shape=(4000,), sample_rate_hz=8000)


def _items(data: DataDescription) -> np.ndarray:
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
def test_each_rung_changes_items_and_keeps_their_form(data: DataDescription) -> None:
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


def test_an_image_moves_by_whole_pixels_and_its_edge_goes_on() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    data = DataDescription(medium="image", shape=(4, 4, 1))
    random = np.random.default_rng(0)

    moved = ladder("image").shifted(image, "shift right", 1, data, random)

    assert moved[0, :, :, 0].tolist()[0] == [0, 0, 1, 2]


def test_a_text_of_utf_8_is_read_as_latin_1() -> None:
    items = _items(TEXT)

    shifted = ladder("text").shifted(
        items, "wrong encoding", 1, TEXT, np.random.default_rng(0)
    )

    assert medium("text").raw(shifted)[0] == "Win a Â£100 prize now"


def test_noise_is_as_loud_as_its_level_says() -> None:
    items = _items(SOUND)

    noisy = ladder("audio").shifted(items, "noise", 20, SOUND, np.random.default_rng(0))

    apart = (noisy.astype(float) - items)[:, :3000]
    ratio = np.square(items[:, :3000].astype(float)).mean() / np.square(apart).mean()
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.2)
    assert (noisy[:, 3000:] == 0).all()
