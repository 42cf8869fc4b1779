import numpy as np
import pytest

from headrace import media
from headrace.errors import SourceError, SpecError
from headrace.media.forms import Problem
from headrace.media.image import form, pixels
from headrace.pipeline import DataSpec
from headrace.records import Form

GREY = np.random.default_rng(2).integers(0, 256, (5, 4, 3), np.uint8)
COLOURS = np.random.default_rng(3).integers(0, 256, (5, 4, 6, 3), np.uint8)
NAMES = [f"x[{row}]" for row in range(5)]


def _decode(array, shape=None):
    return pixels.decode_array(array, Form(shape=shape), NAMES, "data.npz", None)


@pytest.mark.parametrize(
    ("array", "scale"),
    [
        (GREY, "0..255"),
        (GREY.astype(">i8"), "0..255"),
        (GREY.astype(np.float64), "0..255"),
        (GREY / 255, "0..1"),
        (GREY.astype(np.float32) * np.float32(1 / 255), "0..1"),
        ((GREY / 255).astype(np.float16), "0..1"),
        (GREY[..., None], "0..255"),
    ],
)
def test_each_form_of_an_array_is_the_same_pixels(array, scale):
    decoded, seen = _decode(array)
    assert decoded.dtype == np.uint8
    assert np.array_equal(decoded, GREY[..., None])
    assert seen == scale


def test_a_part_of_an_array_has_the_scale_of_the_whole():
    dark = np.array([[[0.0, 1.0]]])
    for high, seen in (
        (None, (255, "0..1")),
        (1.0, (255, "0..1")),
        (9.0, (1, "0..255")),
    ):
        decoded, scale = pixels.decode_array(dark, Form(), NAMES, "data.npz", high)
        assert (decoded.max(), scale) == seen
    with pytest.raises(SourceError, match=r"has the pixel value 0.5 .*whole numbers"):
        pixels.decode_array(dark / 2, Form(), NAMES, "data.npz", 9.0)


def test_channels_may_be_first_or_last():
    assert np.array_equal(_decode(COLOURS)[0], COLOURS)
    assert np.array_equal(_decode(np.moveaxis(COLOURS, 3, 1))[0], COLOURS)
    grey = COLOURS[..., :1]
    assert np.array_equal(_decode(np.moveaxis(grey, 3, 1))[0], grey)


def test_a_declared_shape_settles_where_the_channels_are():
    square = np.arange(5 * 27, dtype=np.uint8).reshape(5, 3, 9, 1)
    with pytest.raises(SourceError, match=r"\(n, 3, 9, 1\): both ends could be"):
        _decode(square)
    assert np.array_equal(_decode(square, (3, 9, 1))[0], square)
    assert _decode(square, (9, 1, 3))[0].shape == (5, 9, 1, 3)


def test_flat_rows_take_the_declared_shape():
    decoded, _ = _decode(GREY.reshape(5, 12), (4, 3, 1))
    assert np.array_equal(decoded[..., 0], GREY)


def test_truth_values_are_black_and_white():
    decoded, scale = _decode(GREY > 99)
    assert (sorted(set(decoded.ravel().tolist())), scale) == ([0, 255], "0..1")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_black_images_do_not_tell_their_scale(dtype):
    assert _decode(np.zeros((5, 4, 3), dtype))[1] == ""


def _with(value, dtype=np.float64):
    array = (GREY / 300).astype(dtype) if dtype != np.int64 else GREY.astype(dtype)
    array[3, 1, 2] = value
    return array


@pytest.mark.parametrize(
    ("array", "seen"),
    [
        (_with(np.nan), r"x\[3\] has the pixel value nan at row 1, column 2; .*finite"),
        (_with(np.inf), r"x\[3\] has the pixel value inf"),
        (_with(-0.5), r"x\[3\] has the pixel value -0.5 at .* \(1 such images in 5\)"),
        (_with(256, np.int64), r"x\[3\] has the pixel value 256 at .* are 0..255"),
        (_with(-1, np.int64), r"x\[3\] has the pixel value -1 "),
        (_with(99.5) * [1], r"x\[.\] has the pixel value .*must be whole numbers"),
        (np.full((5, 4, 3), 300.0), r"x\[0\] has the pixel value 300.0"),
        (GREY.astype(complex), "x holds complex128, which are not pixels"),
        (np.full((5, 4, 3), "a"), "x holds <U1, which are not pixels"),
        (GREY.reshape(5, 12), r"flat images of 12 values, but no shape is"),
        (COLOURS[..., [0, 1]], r"\(n, 4, 6, 2\): 1 or 3 channels expected"),
        (COLOURS[None], "which is not one of images"),
    ],
)
def test_an_array_that_is_no_images_is_refused(array, seen):
    with pytest.raises(SourceError, match=f"data.npz: .*{seen}"):
        _decode(array)


def test_a_flat_row_must_fit_the_declared_shape():
    with pytest.raises(
        SourceError, match=r"12 values, but shape = \[2, 5, 1\] is decl"
    ):
        _decode(GREY.reshape(5, 12), (2, 5, 1))


def test_a_declared_shape_may_leave_out_the_channel():
    for declared, full in (
        ((28, 28), (28, 28, 1)),
        ((32, 32, 3), (32, 32, 3)),
        (None, None),
    ):
        assert form.form_of(DataSpec(source="x", shape=declared)) == Form(shape=full)


@pytest.mark.parametrize(
    ("shape", "seen"),
    [
        ((28,), r"data.shape is \[28\]; an image is"),
        ((28, 28, 4), "with 1 or 3 channels"),
        ((0, 28), "an image is"),
        ((100_000, 100_000), "over 50,000,000 pixels"),
    ],
)
def test_a_declared_shape_must_be_an_images(shape, seen):
    with pytest.raises(SpecError, match=seen):
        form.form_of(DataSpec(source="x", shape=shape))


@pytest.mark.parametrize(
    ("declared", "seen"),
    [
        ({"sample_rate_hz": 8000}, "data.sample_rate_hz is 8000, which is not a field"),
        ({"seconds": 1.5}, "data.seconds is 1.5, which"),
        ({"mask": ("email",)}, r"data.mask is \('email',\), which"),
    ],
)
def test_images_have_no_form_of_texts_or_sounds(declared, seen):
    with pytest.raises(SpecError, match=seen):
        media.form_of(DataSpec(source="x", **declared), "image")


def test_fit_makes_grey_of_grey_and_colours_of_grey():
    grey = GREY[..., None]
    assert np.array_equal(pixels.fit(grey, (4, 3, 1)).payload, grey)
    assert np.array_equal(pixels.fit(grey, (4, 3, 3)).payload, np.repeat(grey, 3, 3))
    same = pixels.fit(np.repeat(grey, 3, 3), (4, 3, 1))
    assert np.array_equal(same.payload, grey)
    assert same.problem is None


def test_fit_sets_coloured_rows_apart_where_one_channel_is_declared():
    mixed = np.stack([np.repeat(COLOURS[0][..., :1], 3, 2), COLOURS[1]])
    fitted = pixels.fit(mixed, (4, 6, 1))
    assert fitted.valid.tolist() == [True, False]
    assert fitted.payload.shape == (1, 4, 6, 1)
    assert fitted.problem.check == "channels"


def test_fit_never_resizes():
    fitted = pixels.fit(GREY[..., None], (8, 8, 1))
    assert not fitted.valid.any()
    assert fitted.problem == Problem("size", "4 x 3 pixels; 8 x 8 is the form")
