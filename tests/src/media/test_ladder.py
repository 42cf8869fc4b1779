"""Every ladder changes items in its families, keeps their form, and is repeatable."""

import io

import numpy as np
import pytest
from PIL import Image

from headrace.media import ladder, medium
from headrace.media.text.ladder import TRADITIONAL
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


def test_an_image_moves_by_whole_pixels_and_its_edge_goes_on():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1)
    data = DataDescription(medium="image", shape=(4, 4, 1))
    random = np.random.default_rng(0)

    moved = ladder("image").shifted(image, "shift right", 1, data, random)

    assert moved[0, :, :, 0].tolist()[0] == [0, 0, 1, 2]


def test_a_text_of_utf_8_is_read_as_latin_1():
    items = _items(TEXT)

    shifted = ladder("text").shifted(
        items, "wrong encoding", 1, TEXT, np.random.default_rng(0)
    )

    assert medium("text").raw(shifted)[0] == "Win a Â£100 prize now"


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


def test_texts_are_as_an_input_method_would_write_them():
    items = _items(TEXT)

    wide, old, short = (
        medium("text").raw(climb(items, TEXT, family, level))
        for family, level in (
            ("full width", 1),
            ("traditional", 1),
            ("dropped characters", 0.2),
        )
    )

    assert wide[0] == "Ｗｉｎ　ａ　£１００　ｐｒｉｚｅ　ｎｏｗ"
    assert old.tolist() == [*TEXTS[:2], "好好學習天天向上" * 4]
    assert all(len(new) < len(text) for new, text in zip(short, TEXTS, strict=True))
    for new, text in zip(short, TEXTS, strict=True):
        rest = iter(text)
        assert all(letter in rest for letter in new)  # in their order


def test_traditional_forms_are_in_the_code_of_taiwan_and_not_of_the_mainland():
    assert len(TRADITIONAL) == len(set(TRADITIONAL.values())) == 441
    for simplified, traditional in TRADITIONAL.items():
        chr(simplified).encode("gb2312")
        chr(traditional).encode("big5")
        with pytest.raises(UnicodeEncodeError):
            chr(traditional).encode("gb2312")


def tone(hertz):
    sound = np.sin(2 * np.pi * hertz * np.arange(4000) / 8000)
    return (9000 * sound).astype(np.int16)[None]


def loudest(sound):
    """The frequency with the most power, by steps of 4 Hz."""
    power = np.abs(np.fft.rfft(sound[0, 500:2500].astype(float)))
    return float(power.argmax() * 4)


@pytest.mark.parametrize("semitones", [-4, -1, 2, 4, 12])
def test_pitch_moves_a_tone_by_semitones_and_keeps_its_length(semitones):
    items = tone(440)
    items[:, 3200:] = 0

    moved = climb(items, SOUND, "pitch", semitones)

    assert loudest(moved) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.02)
    assert (moved[:, 3200:] == 0).all()
    level = moved[:, 500:2500].astype(float).std() / items[:, 500:2500].std()
    assert 0.7 < level < 1.3


def test_a_high_pass_takes_low_tones_and_keeps_high_ones():
    for hertz, kept in ((100, False), (2000, True)):
        passed = climb(tone(hertz), SOUND, "high-pass", 0.2).astype(float)
        assert (passed.std() > 0.9 * tone(hertz).std()) == kept
        assert (passed.std() < 0.1 * tone(hertz).std()) != kept


def test_mu_law_of_8_bits_is_as_good_as_a_telephone():
    """G.711 has a ratio of signal to noise of about 38 dB for loud tones."""
    noise = [climb(tone(440), SOUND, "mu-law", b) - tone(440.0) for b in (8, 4)]
    ratios = [20 * np.log10(tone(440).std() / part.std()) for part in noise]
    assert 34 < ratios[0] < 42
    assert ratios[1] < ratios[0] - 18
