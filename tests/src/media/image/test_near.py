"""Fingerprints of images, and which pairs are copies."""

import io

import numpy as np
import pytest
from PIL import Image

from headrace.media.image import MEDIUM as image
from headrace.media.image import near
from headrace.records import DataDescription

DATA = DataDescription(medium="image", shape=(8, 8, 1), classes=("a", "b"))


def _prints(payload):
    return near.fingerprints(payload, DATA)


def _pictures(count, side, seed=0):
    """Smooth random pictures, such as photographs are."""
    rng = np.random.default_rng(seed)
    far = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    far[0, 0] = np.inf
    waves = np.fft.fft2(rng.standard_normal((count, side, side))) / far**1.2
    made = np.fft.ifft2(waves).real
    made *= 40 / made.std(axis=(1, 2), keepdims=True)
    return np.clip(made + 128, 0, 255).astype(np.uint8)[..., None]


def _strokes(count, seed=0):
    """A few bright bars on black, such as digits are."""
    rng = np.random.default_rng(seed)
    made = np.zeros((count, 28, 28, 1), np.uint8)
    for picture in made:
        for top, left, down in rng.integers([6, 6, 0], [17, 17, 2], (3, 3)):
            size = (8, 3) if down else (3, 8)
            picture[top : top + size[0], left : left + size[1]] = 220
    return made


def _jpeg(payload):
    copies = []
    for picture in payload:
        file = io.BytesIO()
        Image.fromarray(picture[..., 0]).save(file, "JPEG", quality=75)
        copies.append(np.asarray(Image.open(file)))
    return np.stack(copies)[..., None]


def _jpeg_in_colour(payload):
    copies = []
    for picture in payload:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=75)
        copies.append(np.asarray(Image.open(file)))
    return np.stack(copies)


def _resized(payload):
    height, width = payload.shape[1:3]
    copies = []
    for picture in payload:
        small = Image.fromarray(picture[..., 0]).resize((width - 8, height - 8))
        copies.append(
            np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
        )
    return np.stack(copies)[..., None]


def _lighter(payload):
    return np.clip(payload * 1.1 + 10, 0, 255).astype(np.uint8)


def _bits(first, second):
    return np.bitwise_count(_prints(first) ^ _prints(second))


@pytest.mark.parametrize("change", [_jpeg, _resized, _lighter])
@pytest.mark.parametrize("pictures", [_pictures(40, 32), _pictures(20, 96, seed=1)])
def test_a_copy_is_near_and_alike(pictures, change):
    copies = change(pictures)

    near = _bits(pictures, copies) <= 12

    assert (near & image.alike(pictures, copies, DATA)).mean() >= 0.9


@pytest.mark.parametrize("change", [_jpeg, _lighter])
def test_a_copy_on_an_even_ground_is_near_and_alike(change):
    pictures = _strokes(40)
    copies = change(pictures)

    near = _bits(pictures, copies) <= 6

    assert (near & image.alike(pictures, copies, DATA)).mean() >= 0.9


@pytest.mark.parametrize("pictures", [_pictures(60, 32), _strokes(60)])
def test_other_pictures_are_not_alike(pictures):
    first, second = np.triu_indices(len(pictures), 1)
    differ = (pictures[first] != pictures[second]).any(axis=(1, 2, 3))

    alike = image.alike(pictures[first], pictures[second], DATA)

    assert not alike[differ].any()


def test_a_stroke_that_is_longer_is_not_alike():
    first, second = np.zeros((2, 1, 28, 28, 1), np.uint8)
    first[:, 6:20, 13:16] = second[:, 6:22, 13:16] = 220

    assert image.alike(first, second, DATA).tolist() == [False]
    assert image.alike(first, first, DATA).tolist() == [True]


def test_a_negative_is_not_alike():
    pictures = _pictures(5, 32)

    assert not image.alike(pictures, 255 - pictures, DATA).any()


def test_what_is_plain_or_tiny_has_no_fingerprint_and_is_like_nothing():
    plain = np.full((3, 16, 16, 1), 200, np.uint8)
    tiny = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 1), np.uint8)

    assert _prints(plain).tolist() == _prints(tiny).tolist() == [0, 0, 0]
    assert not image.alike(plain, plain, DATA).any()
    assert not image.alike(tiny, tiny, DATA).any()


def test_other_sizes_of_a_picture_are_near():
    big = _pictures(20, 96)
    small = np.stack(
        [np.asarray(Image.fromarray(p[..., 0]).resize((48, 48))) for p in big]
    )

    assert _bits(big, small[..., None]).max() <= 4


def test_grey_is_near_its_colours_and_nothing_depends_on_the_blocks():
    grey = _pictures(300, 16)
    fingerprints = _prints(grey)

    assert fingerprints.dtype == np.uint64
    assert _bits(grey, np.repeat(grey, 3, axis=3)).max() <= 1
    assert _prints(grey[:0]).shape == (0,)
    assert _bits(grey[77:78], grey[77:78]).tolist() == [0]
    parts = [_prints(grey[start : start + 50]) for start in range(0, 300, 50)]
    assert np.bitwise_count(np.concatenate(parts) ^ fingerprints).max() <= 1


def _coloured(grey):
    """The same shapes, red where they are bright and bluish where they are dark."""
    return np.concatenate([grey, grey // 2, grey // 3 + 60], axis=3)


@pytest.mark.parametrize("change", [_jpeg_in_colour, _lighter])
@pytest.mark.parametrize("grey", [_pictures(40, 32), _strokes(40)])
def test_a_copy_in_colour_is_alike(grey, change):
    pictures = _coloured(grey)

    assert image.alike(pictures, change(pictures), DATA).mean() >= 0.9


@pytest.mark.parametrize("grey", [_pictures(40, 32), _strokes(40)])
def test_the_same_shape_in_another_colour_is_not_alike(grey):
    pictures = np.concatenate([grey, grey // 2, grey // 2], axis=3)
    other_hue = np.roll(pictures, 1, axis=3)

    assert _bits(pictures, other_hue).min() <= 12
    assert image.alike(pictures[..., :1], other_hue[..., 1:2], DATA).all()
    assert not image.alike(pictures, other_hue, DATA).any()
