import io
import re
import threading
import warnings

import numpy as np
import pytest
from PIL import Image, ImageFile

from headrace.media.forms import Problem
from headrace.media.image import pixels
from headrace.media.image.files import decode_files, sizes
from headrace.records import Form

GREY = np.random.default_rng(2).integers(0, 256, (5, 4, 3), np.uint8)
COLOURS = np.random.default_rng(3).integers(0, 256, (5, 4, 6, 3), np.uint8)


def _encoded(picture, kind="PNG", **options):
    buffer = io.BytesIO()
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _many(files, shape=None):
    return decode_files(files, Form(shape=shape)).items


def _one(data, shape=None):
    (decoded,) = _many([data], shape)
    return decoded


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF"])
def test_grey_files_decode_to_one_channel(kind):
    assert np.array_equal(_one(_encoded(GREY[0], kind)), GREY[0][..., None])


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_coloured_files_decode_to_three_channels(kind):
    assert np.array_equal(_one(_encoded(COLOURS[0], kind)), COLOURS[0])


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_files_decode(kind):
    plain = np.full((8, 8, 3), (200, 20, 20), np.uint8)
    decoded = _one(_encoded(plain, kind, quality=95))
    assert decoded.shape == (8, 8, 3)
    assert np.abs(decoded.astype(int) - plain).max() < 12


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_content_is_grey_in_any_mode(mode):
    picture = Image.fromarray(GREY[0]).convert(mode)
    assert np.array_equal(_one(_encoded(picture)), GREY[0][..., None])


def test_one_bit_is_black_and_white():
    bits = GREY[0] > 99
    assert np.array_equal(_one(_encoded(bits))[..., 0], bits * 255)


def test_16_bit_grey_is_scaled_to_8():
    deep = GREY[0].astype(np.uint16) * 257
    assert np.array_equal(_one(_encoded(deep))[..., 0], GREY[0])


def test_transparency_is_laid_on_white():
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    decoded = _one(_encoded(rgba))
    assert decoded[0, 0].tolist() == [10, 20, 30]
    assert decoded[1, 1].tolist() == [255, 255, 255]


def test_the_turn_in_exif_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = _one(_encoded(GREY[0], "PNG", exif=exif), (3, 4, 1))
    assert np.array_equal(turned[..., 0], np.rot90(GREY[0], -1))


@pytest.mark.parametrize(
    ("data", "check", "reason"),
    [
        (b"", "decode", "the file is empty or not there"),
        (
            b"<html></html>",
            "decode",
            "not one of PNG, JPEG, .* begins with '<html></'",
        ),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "decode", "not one of PNG"),
        (_encoded(COLOURS[0])[:-30], "decode", "damaged or cut short"),
        (_encoded(COLOURS[0])[:40], "decode", "damaged or cut short in its header"),
        (_encoded(COLOURS[0])[:60] + b"x" + _encoded(COLOURS[0])[61:], "decode", "at"),
        (_encoded(Image.new("CMYK", (4, 4)), "JPEG"), "mode", "colour mode CMYK"),
        (_encoded(Image.new("F", (4, 4)), "TIFF"), "mode", "colour mode F"),
    ],
)
def test_what_cannot_be_decoded_is_a_problem_of_that_item(data, check, reason):
    good = _encoded(GREY[0])
    first, problem, last = _many([good, data, good])
    assert np.array_equal(first, last)
    assert problem.check == check
    assert re.search(reason, problem.reason)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_more_than_one_frame_is_a_problem(kind):
    frames = [Image.fromarray(frame) for frame in COLOURS[:2]]
    data = _encoded(frames[0], kind, save_all=True, append_images=frames[1:])
    assert _one(data).check == "animated"


def test_too_many_pixels_are_refused_by_the_header(monkeypatch):
    data = _encoded(GREY[0])
    monkeypatch.setattr(pixels, "PIXEL_LIMIT", 11)
    assert _one(data) == Problem("too_large", "3 x 4 pixels; at most 11 are taken")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    assert _one(data).check == "too_large"


def test_another_size_than_declared_is_not_decoded():
    cut = _encoded(COLOURS[0])[:-30]
    assert _one(cut, (9, 9, 3)) == Problem("size", "4 x 6 pixels; 9 x 9 is the form")


def test_warnings_of_the_decoder_stay_inside():
    palette = Image.new("P", (2, 2))
    palette.info["transparency"] = b"\x00\x01"
    data = _encoded(palette)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert _one(data).shape == (2, 2, 1)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_threads_keep_the_order():
    rng = np.random.default_rng(4)
    pictures = [rng.integers(0, 256, (150, 150), np.uint8) for _ in range(9)]
    decoded = _many([_encoded(picture) for picture in pictures])
    assert all(
        np.array_equal(a[..., 0], b) for a, b in zip(decoded, pictures, strict=True)
    )


def test_a_png_cut_short_anywhere_is_a_problem():
    data = _encoded(COLOURS[0])
    cuts = [data[:count] for count in range(8, len(data))]
    assert {decoded.check for decoded in _many(cuts)} == {"decode"}


def test_a_changed_byte_anywhere_in_a_png_is_a_problem():
    data = _encoded(COLOURS[0])
    changed = [
        data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]
        for place in range(8, len(data))
    ]
    assert {decoded.check for decoded in _many(changed)} == {"decode"}


KINDS = [
    *[("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")],
    *[("JPEG", "L", {}), ("JPEG", "RGB", {}), ("BMP", "RGB", {}), ("GIF", "P", {})],
    *[("WEBP", "RGB", {}), ("WEBP", "RGBA", {"lossless": True}), ("TIFF", "L", {})],
    ("WEBP", "RGBA", {"exif": b"Exif\0\0"}),
]


def _file_of(kind, mode, options):
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((21, 13)).convert(mode).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


@pytest.mark.parametrize(("kind", "mode", "options"), KINDS)
def test_an_image_decodes_to_no_more_than_its_header_says(kind, mode, options):
    data = _file_of(kind, mode, options)
    (item,) = decode_files([data], Form()).items
    (unpacked,), (size,) = sizes([data], Form())
    assert unpacked == size
    assert item.nbytes <= size <= 3 * 21 * 13


@pytest.mark.parametrize(
    "data", [b"", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBPVP8X", b"GIF"]
)
def test_what_has_no_header_has_no_size(data):
    assert sizes([data], Form()) == ([0], [0])


def test_what_other_threads_warn_of_is_heard_while_files_are_decoded():
    """As `warnings.catch_warnings` around the decoding would not let it be."""
    begun, go_on = threading.Event(), threading.Event()

    class Slow(bytes):
        def startswith(self, *args):
            begun.set()
            assert go_on.wait(30)
            return super().startswith(*args)

    other = threading.Thread(target=_one, args=[Slow(_encoded(GREY))])
    other.start()
    assert begun.wait(30)
    heard = all(entry[3] or entry[0] != "ignore" for entry in warnings.filters[:1])
    go_on.set()
    other.join()
    assert heard


def test_one_file_is_decoded_without_threads(monkeypatch):
    monkeypatch.delattr("headrace.media.image.files.ThreadPoolExecutor")
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)
    assert _one(_encoded(noise)).shape == (300, 300, 3)


PHOTO = Image.fromarray(
    np.random.default_rng(5).integers(0, 256, (9, 12, 3), np.uint8)
).resize((320, 240), Image.Resampling.BICUBIC)
RESIZED = Form(shape=(64, 64, 3), options={"resize": "crop", "filter": "bicubic"})


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}])
@pytest.mark.parametrize("form", [Form(), RESIZED])
def test_a_jpeg_may_end_with_grey(options, form):
    """Also with a thumbnail in its EXIF, which is a JPEG itself."""
    grey = PHOTO.copy()
    grey.paste((128, 128, 128), (0, 100, 320, 240))
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + _encoded(PHOTO, "JPEG")
    for picture in (grey, grey.convert("L")):
        for file in (
            _encoded(picture, "JPEG", **options) + b"trailer",
            _encoded(picture, "JPEG", exif=exif, **options),
        ):
            assert not isinstance(decode_files([file], form).items[0], Problem)
