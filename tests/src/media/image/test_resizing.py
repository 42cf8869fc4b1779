"""Images of any size: the table of outcomes in docs/guides/own-data.md, row by row."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from headrace.errors import SpecError
from headrace.media.forms import Problem
from headrace.media.image import MEDIUM as image
from headrace.media.image import pixels
from headrace.media.image.conversion import decode_object
from headrace.media.image.files import decode_files
from headrace.media.image.resizing import Resizing, Sides
from headrace.pipeline import DataSpec
from headrace.records import Form

MODES = ["crop", "pad", "stretch"]
# Upright: each quarter has a colour of its own.
COLOURS = np.array([[(250, 0, 0), (0, 250, 0)], [(0, 0, 250), (250, 250, 0)]], np.uint8)
SCENE = Image.fromarray(COLOURS.repeat(300, 0).repeat(400, 1))  # 600 x 800
STORED = {  # how a camera stores the upright scene, by the orientation
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def form(mode="crop", shape=(48, 64, 3)):
    return image.form_of(DataSpec(source="x", shape=shape, resize=mode))


def encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def one(data, form):
    (item,) = decode_files([data], form).items
    return item


def corners(item):
    height, width = item.shape[:2]
    places = ((1, 1), (1, -2), (-2, 1), (-2, -2))
    assert height > 4 < width
    return [item[place].tolist() for place in places]


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_every_orientation_is_shown_upright(mode, orientation, kind):
    turn = STORED[orientation]
    stored = SCENE if turn is None else SCENE.transpose(turn)
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    data = encoded(stored, kind, exif=exif(orientation), **lossless)
    item = one(data, form(mode))
    assert isinstance(item, np.ndarray)
    assert item.shape == (48, 64, 3)
    expected = COLOURS.reshape(4, 3).astype(int)
    assert np.abs(np.array(corners(item)) - expected).max() <= 8


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_all_modes_of_pixels_are_resized(mode):
    grey = Image.linear_gradient("L").resize((300, 200))
    picture = grey.convert(mode)
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    item = one(encoded(picture), form())
    assert isinstance(item, np.ndarray)
    assert item.shape == (48, 64, 1)
    if mode != "1":
        down = item[:, 32, 0].astype(int)
        assert np.abs(down - np.linspace(0, 255, 48)).max() <= 6


def test_16_bits_do_not_wrap_around_where_the_filter_overshoots():
    edge = np.zeros((64, 64), np.uint16)
    edge[:, 32:] = 65535
    item = one(encoded(Image.fromarray(edge)), form(shape=(40, 40, 1)))
    assert isinstance(item, np.ndarray)
    assert item[:, :16].max() < 40
    assert item[:, -16:].min() > 215


def test_what_is_transparent_becomes_white_without_a_dark_rim():
    rgba = np.zeros((200, 200, 4), np.uint8)  # transparent black
    rgba[:, :100] = (200, 0, 0, 255)
    item = one(encoded(Image.fromarray(rgba)), form(shape=(50, 50, 3)))
    assert isinstance(item, np.ndarray)
    assert item[25, -5].tolist() == [255, 255, 255]
    assert item[..., 0].min() >= 190  # red and white both have much of it


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_the_shape_stays_as_it_is(mode):
    rng = np.random.default_rng(1)
    colours = rng.integers(0, 256, (48, 64, 3), np.uint8)
    data = encoded(Image.fromarray(colours))
    decoded = decode_files([data], form(mode))
    assert np.array_equal(decoded.items[0], colours)
    assert not decoded.file_counts


def test_crop_keeps_the_middle_pad_the_whole_and_stretch_squeezes_it():
    bands = np.zeros((100, 300, 3), np.uint8)  # red, green, blue
    for place in range(3):
        bands[:, 100 * place : 100 * place + 100, place] = 255
    data, square = encoded(Image.fromarray(bands)), (60, 60, 3)
    crop, pad, stretch = (one(data, form(mode, square)) for mode in MODES)
    assert crop[:, 3:-3, 1].min() == 255
    assert pad[:18].max() == pad[-18:].max() == 0
    assert pad[30, [5, 30, 55]].argmax(axis=1).tolist() == [0, 1, 2]
    assert stretch[5, [5, 30, 55]].argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (60_000, 2), (2, 60_000), (30_000, 70)])
def test_images_of_extreme_sides_are_taken(mode, size):
    data = encoded(Image.new("RGB", size, (9, 99, 199)), "JPEG")
    item = one(data, form(mode, (64, 64, 3)))
    assert isinstance(item, np.ndarray)
    assert item.shape == (64, 64, 3)
    assert np.abs(item[31, 31].astype(int) - (9, 99, 199)).max() < 6


HEIC = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(64)
FRAMES = [Image.fromarray(COLOURS), Image.fromarray(COLOURS[::-1])]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (encoded(Image.new("CMYK", (90, 90)), "JPEG"), "mode: colour mode CMYK"),
        (encoded(Image.new("F", (90, 90)), "TIFF"), "mode: colour mode F"),
        (HEIC, "decode: HEIC or AVIF, which is not read: save it as JPEG or PNG"),
        (encoded(SCENE, "JPEG")[:-600], "decode: damaged or cut short"),
        (encoded(SCENE)[:-30], "decode: damaged or cut short"),
        *(
            (
                encoded(FRAMES[0], kind, save_all=True, append_images=FRAMES[1:]),
                f"animated: {kind} with more than one frame",
            )
            for kind in ("GIF", "PNG", "WEBP", "TIFF")
        ),
    ],
)
def test_what_cannot_be_taken_says_why(data, problem):
    found = one(data, form())
    assert isinstance(found, Problem)
    assert f"{found.check}: {found.reason}".startswith(problem)


def test_of_several_pictures_in_a_jpeg_the_first_is_taken():
    other = Image.new("RGB", (800, 600))
    data = encoded(SCENE, "MPO", save_all=True, append_images=[other])
    item = one(data, form())
    assert isinstance(item, np.ndarray)
    assert item[1, 1, 0] > 200


def test_pixels_count_as_they_are_decoded(monkeypatch):
    plain, slow = encoded(SCENE, "JPEG"), encoded(SCENE, "JPEG", progressive=True)
    monkeypatch.setattr(pixels, "PIXEL_LIMIT", 600 * 800 // 4)
    assert isinstance(one(plain, form()), np.ndarray)
    for whole in (slow, encoded(SCENE), encoded(SCENE, "WEBP")):
        assert one(whole, form()) == Problem(
            "too_large", "800 x 600 pixels; at most 120,000 are taken"
        )


def test_passes_over_all_pixels_are_bounded(monkeypatch):
    data = encoded(SCENE, "JPEG", progressive=True)
    monkeypatch.setattr("headrace.media.image.files._PASSES_LIMIT", 3 * 600 * 800)
    problem = one(data, form())
    assert isinstance(problem, Problem)
    assert problem.reason.endswith("scans; at most 3 are taken")


def test_what_is_kept_is_an_images_size_and_what_is_decoded_is_held():
    jpeg, png = encoded(SCENE.resize((4000, 3000)), "JPEG"), encoded(SCENE)
    unpacked, kept = image.sizes([jpeg, png, b""], form("pad"))
    assert kept.tolist() == [48 * 64 * 3] * 2 + [0]
    assert unpacked.tolist() == [500 * 375 * 3, 800 * 600 * 3, 0]


@pytest.mark.system
@pytest.mark.parametrize("mode", MODES)
def test_a_photo_is_much_the_same_at_any_scale_of_its_file(mode):
    rng = np.random.default_rng(3)
    rough = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    large = rough.resize((1600, 1200), Image.Resampling.BICUBIC)
    jpeg, png = encoded(large, "JPEG", quality=95), encoded(large)
    first, second = one(jpeg, form(mode)), one(png, form(mode))
    assert np.abs(first.astype(int) - second).mean() < 1.5


def test_images_that_were_resized_are_counted():
    sizes = [(64, 48), (4000, 3000), (200, 150), (32, 48)]
    files = [encoded(Image.new("RGB", size), "JPEG") for size in sizes]
    files.append(encoded(Image.new("RGB", (200, 150)), "JPEG", exif=exif(6)))
    assert decode_files(files, form()).file_counts == {"resized": 4, "enlarged": 1}


@pytest.mark.parametrize(
    ("mode", "sides", "enlarges"),
    [
        ("crop", (100, 50), True),
        ("pad", (100, 50), False),
        ("stretch", (100, 50), True),
        ("pad", (40, 50), True),
        ("crop", (100, 100), False),
    ],
)
def test_an_image_is_enlarged_where_it_has_too_few_pixels(mode, sides, enlarges):
    assert Resizing(mode, 64, 64).enlarges(Sides(*sides)) is enlarges


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", MODES)
def test_arrays_are_resized_as_files_are(mode, channels):
    rng = np.random.default_rng(5)
    array = rng.integers(0, 256, (3, 90, 70, channels), np.uint8)
    names = [f"x[{place}]" for place in range(3)]
    resized, _ = image.decode_array(array, form(mode), names, "x", None)
    files = [encoded(Image.fromarray(each.squeeze())) for each in array]
    assert np.array_equal(resized, np.stack(decode_files(files, form(mode)).items))


def test_a_form_says_how_it_resizes_and_with_which_filter():
    assert form("pad").options == {"resize": "pad", "filter": "bicubic"}
    plain = image.form_of(DataSpec(source="x", shape=(48, 64, 3)))
    assert plain == Form(shape=(48, 64, 3))


def test_to_resize_needs_a_shape():
    with pytest.raises(SpecError, match="and there is no data"):
        image.form_of(DataSpec(source="x", resize="crop"))


def of_many_parts(kind):
    """An image file of 4 MB that is nearly all metadata, in the smallest parts."""
    picture = Image.new("P", (64, 64))
    data = encoded(picture.convert("RGB") if kind == "JPEG" else picture, kind)
    if kind == "JPEG":
        return data[:2] + b"\xff\xe5\0\2" * 2**20 + data[2:]
    if kind == "GIF":
        place = data.index(b",", 13)
        return data[:place] + b"\x21\xfe" + b"\1a" * 2**21 + b"\0" + data[place:]
    chunk = struct.pack(">I", 0) + b"abCd" + struct.pack(">I", zlib.crc32(b"abCd"))
    return data[:33] + chunk * (2**22 // 12) + data[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_files_of_very_many_parts_are_not_read_to_their_end(kind):
    data = of_many_parts(kind)
    began = time.process_time()
    problem = one(data, form())
    assert time.process_time() - began < 1
    assert isinstance(problem, Problem)
    assert problem.check == "too_large"
    assert problem.reason.startswith("more parts than an image has")


def test_an_animated_or_empty_image_is_not_prepared():
    frames = [Image.new("L", (8, 8), grey) for grey in (0, 200)]
    data = io.BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])
    for item, check in (
        (Image.open(data), "animated"),
        (np.zeros((0, 3, 3), np.uint8), "mode"),
    ):
        problem = decode_object(item, form())
        assert isinstance(problem, Problem)
        assert problem.check == check
