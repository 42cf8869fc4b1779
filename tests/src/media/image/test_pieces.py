"""Patches of an image."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from headrace.media.image import MEDIUM as image
from headrace.records import DataDescription

DATA = DataDescription(medium="image", shape=(28, 28, 1))


def drawn():
    item = np.full((28, 28, 1), 9, np.uint8)
    item[5, 6] = 200  # row 6, column 7: in the second patch of both axes
    return item


def test_the_background_is_the_colour_of_the_border():
    coloured = np.zeros((4, 5, 3), np.uint8)
    coloured[...] = (1, 2, 3)
    coloured[2, 2] = (9, 9, 9)
    pieces = image.pieces(coloured, DATA.model_copy(update={"shape": (4, 5, 3)}))
    (number,) = np.flatnonzero(pieces.present)
    assert pieces.without([[number]])[0, 2, 2].tolist() == [1, 2, 3]


def test_a_removed_patch_becomes_background_and_the_rest_stays():
    item = drawn()
    pieces = image.pieces(item, DATA)
    assert pieces.shape == (7, 7)
    assert pieces.names[8] == "rows 5 to 8, columns 5 to 8"
    assert np.flatnonzero(pieces.present).tolist() == [8]
    removed, kept, whole = pieces.without([[8, 1], [0], []])
    assert (removed == 9).all()
    assert np.array_equal(kept, item)
    assert np.array_equal(whole, item)
    assert item[5, 6, 0] == 200  # what was given is not changed


def test_small_images_have_a_patch_for_each_pixel():
    item = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    data = DataDescription(medium="image", shape=(2, 3, 1))
    assert image.pieces(item, data).shape == (2, 3)


@pytest.mark.parametrize(("size", "count"), [(8, 4), (28, 7), (30, 6), (32, 7)])
def test_patches_are_of_about_one_size(size, count):
    data = DataDescription(medium="image", shape=(size, 1, 1))
    item = np.zeros((size, 1, 1), np.uint8)
    names = image.pieces(item, data).names
    assert len(names) == count
    numbers = [name.split(",")[0].split()[1::2] for name in names]
    heights = [int(last) - int(first) + 1 for first, last in numbers]
    assert sum(heights) == size
    assert max(heights) - min(heights) <= 1


def test_a_map_lies_over_the_whole_image_red_where_it_is_positive():
    axes = Figure().add_subplot()
    values = np.zeros((7, 7))
    values[1, 1], values[6, 6] = 2.0, -1.0
    image.draw_map(axes, drawn(), values, DATA)
    below, above = axes.images
    assert above.get_extent() == below.get_extent() == [0, 28, 28, 0]
    red, green, blue, _ = above.to_rgba(above.get_array())[1, 1]
    assert red > max(green, blue)
    assert above.to_rgba(above.get_array())[6, 6][2] > 0.5  # blue
    assert above.get_alpha()[1, 1] == 0.85
    assert above.get_alpha()[0, 0] == 0
