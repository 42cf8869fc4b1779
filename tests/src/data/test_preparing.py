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


def test_a_text_is_read_in_the_encoding_that_the_model_has_learned_from():
    model = loaded(DataDescription(medium="text", shape=(64,)))
    with pytest.raises(InputError, match="encoding: neither UTF-8"):
        model.prepare("café".encode("cp1252"))
    model.encoding = "cp1252"
    expected = model.prepare("café".encode())
    assert model.prepare("café".encode("cp1252")) == expected


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
    model.max_item_bytes = 18_899
    with pytest.raises(InputError, match="too_large: 18,900 bytes, decoded from"):
        model.prepare(file)
    model.max_item_bytes = 18_900
    assert model.prepare(file).shape == (90, 70, 3)
    model.settings = Settings(max_file_bytes=100)
    for given in (file, file.read_bytes()):
        with pytest.raises(InputError, match="HEADRACE_MAX_FILE_BYTES"):
            model.prepare(given)


def test_a_model_takes_files_and_images_of_any_size_as_training_had_them(tmp_path):
    photos = [COLOURS, np.ascontiguousarray(COLOURS[:50, :, ::-1])]
    files = [png(photo) for photo in photos]
    paths = [tmp_path / f"{n}.png" for n in range(2)]
    for path, file in zip(paths, files, strict=True):
        path.write_bytes(file)
    expected = np.stack(decode_files(files, PHOTOS).items)
    forms = [
        paths,
        [str(path) for path in paths],
        files,
        tuple(map(io.BytesIO, files)),
        [Image.fromarray(photo) for photo in photos],
        photos,
        [paths[0], photos[1]],
    ]
    for given in forms:
        assert np.array_equal(loaded().check(given), expected)
    with paths[0].open("rb") as file:
        alone = [loaded().check(file)]
    alone += [loaded().check(x) for x in (paths[0], Image.fromarray(COLOURS), COLOURS)]
    for item in alone:
        assert np.array_equal(item, expected[:1])
    together = loaded().check(np.stack([COLOURS, COLOURS]))
    assert np.array_equal(together, expected[[0, 0]])


def test_grey_images_of_another_size_are_several_where_no_axis_is_of_channels():
    grey = COLOURS[..., 0]
    assert loaded().check(grey).shape == (1, 32, 48, 3)
    assert loaded().check(np.stack([grey] * 5)).shape == (5, 32, 48, 3)


def test_arrays_in_the_models_form_are_taken_as_they_are():
    digits = DataDescription(medium="image", shape=(28, 28, 1), options=OPTIONS)
    for given in ((28, 28), (3, 28, 28), (3, 28, 28, 1)):
        zeros = np.zeros(given, np.float32)
        assert loaded(digits).check(zeros).dtype == np.float32
    assert loaded(digits).check([np.zeros((28, 28), np.uint8)] * 2).shape[0] == 2


def test_a_string_is_a_text_where_the_model_reads_texts():
    texts = DataDescription(medium="text", shape=(16,))
    assert loaded(texts).check(["it.png"]).tolist() == ["it.png"]
