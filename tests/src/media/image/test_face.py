"""What the rest of the house asks of images."""

import base64
import io
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from headrace.errors import InputError
from headrace.media.image import MEDIUM as image
from headrace.records import DataDescription, Form

GREY = np.arange(24, dtype=np.uint8).reshape(2, 3, 4, 1)
COLOURS = np.arange(72, dtype=np.uint8).reshape(2, 3, 4, 3)


def _data(shape):
    return DataDescription(medium="image", shape=shape, classes=("a", "b"))


def test_items_lie_in_a_column_and_come_back():
    for payload in (GREY, COLOURS, GREY[:0]):
        column = image.as_column(payload)
        back = image.from_column(column, payload.shape[1:])
        assert np.array_equal(back, payload)
        assert back.dtype == image.DTYPE


def test_the_usual_shape_is_that_of_most_and_then_the_largest():
    shapes = Counter({(2, 2, 1): 5, (9, 9, 1): 4})
    assert image.usual_shape(shapes, Form()) == (2, 2, 1)
    shapes[9, 9, 1] += 1
    assert image.usual_shape(shapes, Form()) == (9, 9, 1)


def test_a_model_takes_pixels_as_they_are_and_as_floats():
    assert image.raw(GREY) is GREY
    first, second = image.variants(GREY)
    assert (first.dtype, second.dtype) == (np.uint8, np.float32)
    assert np.array_equal(first, second)


@pytest.mark.parametrize("payload", [GREY, COLOURS])
def test_a_page_holds_the_image_itself(payload):
    page = image.as_html(payload[1], _data(payload.shape[1:]))

    encoded = re.fullmatch(r'<img src="data:image/png;base64,(.+)" alt=".+">', page)
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded[1]))))
    assert np.array_equal(shown.reshape(payload[1].shape), payload[1])


@pytest.mark.parametrize("payload", [GREY, COLOURS])
def test_a_sample_is_drawn(payload):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    image.draw_sample(axes, payload[0], _data(payload.shape[1:]))

    assert axes.images[0].get_array().shape[:2] == (3, 4)


def test_one_image_and_images_without_channels_are_taken():
    data = _data((3, 4, 1))
    for given in (GREY, GREY[..., 0], GREY.astype(np.float32) * 9):
        assert image.check_input(given, data).shape == (2, 3, 4, 1)
    assert image.check_input(GREY[0, ..., 0], data).shape == (1, 3, 4, 1)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (GREY.astype(np.int64), "The input has dtype int64; expected uint8"),
        (COLOURS, r"The input has shape \(2, 3, 4, 3\); expected \(n, 3, 4, 1\)"),
        (GREY[:0], r"with n of at least 1"),
        (np.full((1, 3, 4), np.nan, np.float32), "The input holds NaN"),
        (np.full((1, 3, 4), -1, np.float32), "values are -1..-1; expected 0..255"),
        (np.full((1, 3, 4), 1, np.float32), "which looks scaled to 0..1"),
    ],
)
def test_what_is_no_such_image_is_refused(given, seen):
    with pytest.raises(InputError, match=seen):
        image.check_input(given, _data((3, 4, 1)))
