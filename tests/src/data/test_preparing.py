"""Raw items of a program become what the model was trained on."""

import io

import numpy as np
import pytest
from PIL import Image

from headrace.errors import InputError
from headrace.media.image.files import decode_files
from headrace.models.logged.loading import LoadedModel
from headrace.records import DataDescription
from headrace.settings import Settings

OPTIONS = {"resize": "pad", "filter": "bicubic"}
PHOTOS = DataDescription(medium="image", shape=(32, 48, 3), options=OPTIONS)
COLOURS = np.random.default_rng(1).integers(0, 256, (90, 70, 3), np.uint8)


def loaded(description=PHOTOS):
    return LoadedModel(lambda: None, description)


def png(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_picture_in_any_form_is_what_training_made_of_its_file(tmp_path):
    file = png(COLOURS)
    (tmp_path / "it.png").write_bytes(file)
    (expected,) = decode_files([file], PHOTOS).items
    path = tmp_path / "it.png"
    for given in (file, path, str(path), Image.fromarray(COLOURS), COLOURS):
        item = loaded().prepare(given)
        assert (item.shape, item.dtype) == ((32, 48, 3), np.uint8)
        assert np.array_equal(item, expected)
        assert loaded().check(item).shape == (1, 32, 48, 3)


def test_grey_gets_the_channels_of_the_model():
    for grey in (COLOURS[..., 0], COLOURS[..., :1]):
        item = loaded().prepare(grey)
        assert item.shape == (32, 48, 3)
        assert np.array_equal(item[..., 0], item[..., 2])


def test_without_resize_another_size_is_refused():
    plain = DataDescription(medium="image", shape=(90, 70, 3))
    assert np.array_equal(loaded(plain).prepare(COLOURS), COLOURS)
    for given in (COLOURS[1:], png(COLOURS[1:])):
        with pytest.raises(InputError, match="size: 89 x 70 pixels; 90 x 70 is"):
            loaded(plain).prepare(given)


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        (b"none", "decode: not one of PNG, JPEG"),
        (COLOURS.astype(np.float32), "mode: float32 of the shape"),
        (COLOURS[..., :2].copy()[None], "mode: uint8 of the shape"),
    ],
)
def test_what_is_no_picture_is_refused(given, seen):
    with pytest.raises(InputError, match=seen):
        loaded().prepare(given)


def test_a_text_is_prepared_from_its_bytes():
    texts = DataDescription(medium="text", shape=(16,))
    assert loaded(texts).prepare(b" a text\r\n") == "a text"


def test_a_jpeg_that_is_opened_and_not_loaded_is_what_its_file_is():
    buffer = io.BytesIO()
    smooth = Image.fromarray(COLOURS).resize((640, 900))
    smooth.save(buffer, "JPEG")
    picture = Image.open(buffer)
    assert np.array_equal(
        loaded().prepare(picture), loaded().prepare(buffer.getvalue())
    )
    assert picture.size == (640, 900)
    assert np.asarray(picture).shape == (900, 640, 3)


def test_the_limits_of_served_items_hold(tmp_path):
    plain = DataDescription(medium="image", shape=(90, 70, 3))
    file = tmp_path / "it.png"
    file.write_bytes(png(COLOURS))
    model = loaded(plain)
    model.settings = Settings(max_item_bytes=18_899)
    with pytest.raises(InputError, match="too_large: 18,900 bytes, decoded from"):
        model.prepare(file)
    model.max_item_bytes = 18_900
    assert model.prepare(file).shape == (90, 70, 3)
    model.settings = Settings(max_file_bytes=100)
    for given in (file, file.read_bytes()):
        with pytest.raises(InputError, match="HEADRACE_MAX_FILE_BYTES"):
            model.prepare(given)
