"""What `headrace new` writes for the sizes of image files."""

import io

import numpy as np
import pytest
from PIL import Image

from headrace.media.chunks import Chunk
from headrace.media.image import MEDIUM as image


def files(*sizes, mode="RGB"):
    made = []
    for place, size in enumerate(sizes):
        colour = place if mode == "L" else (place, 99, 199)
        buffer = io.BytesIO()
        Image.new(mode, size, colour).save(buffer, "PNG")
        made.append(buffer.getvalue())
    return made


def suggested(items):
    return image.suggest([Chunk(None, items, [], [])])


@pytest.mark.parametrize(
    ("sizes", "shape"),
    [
        ([(200, 150), (400, 300), (800, 600)], (224, 224, 3)),
        ([(200, 150)] * 2 + [(80, 90)], (128, 128, 3)),
        ([(30, 40), (20, 20), (10, 12)], (64, 64, 3)),
    ],
)
def test_the_shape_is_the_median_of_the_shorter_sides(sizes, shape):
    assert suggested(files(*sizes)) == {"shape": shape, "resize": "crop"}


def test_images_much_longer_than_wide_are_padded():
    sizes = [(200, 150)] * 8 + [(300, 150), (150, 300)]
    assert suggested(files(*sizes))["resize"] == "pad"
    assert suggested(files(*sizes[:-1], *sizes[:2]))["resize"] == "crop"


def test_images_of_one_small_size_stay_as_they_are_and_few_others_do_not_matter():
    assert suggested(files(*[(28, 28)] * 19, (99, 99))) == {}
    assert suggested(files(*[(28, 28)] * 18, (99, 99), (50, 60)))["shape"][0] == 64
    assert suggested(files((256, 256))) == {}


def test_photos_of_one_size_are_resized():
    assert suggested(files((400, 300)))["shape"] == (224, 224, 3)


def test_grey_images_get_one_channel():
    grey, colour = files((90, 80), (70, 60), mode="L"), files((80, 90))
    assert suggested([*grey, *colour])["shape"] == (64, 64, 1)
    assert suggested([*grey[:1], *colour, *colour])["shape"] == (64, 64, 3)


def test_files_that_cannot_be_read_do_not_matter():
    assert suggested([b"", b"none", b"\x89PNG\r\n\x1a\n" + bytes(30)]) == {}


def test_arrays_have_one_size():
    assert suggested(np.zeros((2, 400, 400), np.uint8)) == {}
