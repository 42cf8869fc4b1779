"""The plain route: what people have becomes an item, or is refused."""

import io
import wave

import httpx
import numpy as np
import pytest
from PIL import Image
from tests.src.serving.conftest import (
    AUDIO,
    IMAGE,
    NUMBER,
    TEXT,
    Site,
    Toy,
    a_row,
    serving,
)

from headrace.media.image.files import decode_files
from headrace.records import DataDescription
from headrace.serving.served import Served
from headrace.settings import Settings

RAW = "application/octet-stream"


class Echo:
    """Keeps what it is asked, and answers with the first class."""

    name = "toy"

    def __init__(self):
        self.items = []

    def __call__(self, items):
        self.items.append(items)
        return np.repeat(np.float32([[0.5, 0.3, 0.2]]), len(items), axis=0)

    def close(self):
        pass


def picture(pixels, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def sound(samples, rate):
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def test_an_answer_is_what_people_read():
    reply = Site(serving(IMAGE, 2)).predict(bytes(16), RAW)
    assert reply.status == 200
    assert reply.headers["x-model-version"] == "2"
    assert reply.json == {
        "model": "toy",
        "version": 2,
        "request_id": reply.headers["x-request-id"],
        "label": 'a "fox" %',
        "probability": 0.5,
        "probabilities": {"cat": 0.25, "dog": 0.25, 'a "fox" %': 0.5},
    }


def test_a_regression_answers_a_value():
    answer = Site(serving(NUMBER)).predict(bytes(16), RAW).json
    assert answer["value"] == 0.5 and "label" not in answer


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_a_picture_is_the_same_as_its_pixels(kind):
    engine = Echo()
    site = Site(serving(IMAGE, engine=engine))
    pixels = np.arange(0, 160, 10, np.uint8).reshape(4, 4)
    assert site.predict(picture(pixels, kind), "image/whatever").status == 200
    assert site.predict(pixels.tobytes(), RAW).status == 200
    file, raw = engine.items
    assert file.dtype == raw.dtype == np.uint8
    assert file.shape == (1, 4, 4, 1) and np.array_equal(file, raw)


def test_a_coded_body_is_refused():
    coded = {"content-type": "image/png", "content-encoding": "gzip"}
    reply = Site(serving(IMAGE)).ask("POST", "/models/toy/predict", b"x", coded)
    assert (reply.status, "'gzip'" in reply.json["error"]) == (415, True)


def form(*contents):
    """A body with files as curl and browsers send them, and its media type."""
    files = [("file", ("a.bin", content)) for content in contents]
    named = {"content-type": "multipart/form-data; boundary=of-a-form"}
    request = httpx.Request("POST", "http://x", files=files, headers=named)
    return request.read(), request.headers["content-type"]


def test_a_file_of_a_form_is_answered_as_the_file_itself():
    engine = Echo()
    site = Site(serving(IMAGE, engine=engine))
    file = picture(np.arange(0, 160, 10, np.uint8).reshape(4, 4))
    assert site.predict(file, "image/png").status == 200
    assert site.predict(*form(file)).status == 200
    assert np.array_equal(*engine.items)
    words = Site(serving(TEXT, engine=engine))
    assert words.predict(*form(b"one\r\n--two\r\n\r\n3")).status == 200
    assert engine.items[-1].tolist() == ["one\n--two\n\n3"]


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (*form(b"x", b"y"), "more than one part"),
        (form(b"x")[0][:-30], form(b"x")[1], "not a form"),
        (b"x", "multipart/form-data; boundary*=utf-8''%E2%82%AC", "not a form"),
    ],
)
def test_another_form_is_refused(body, kind, words):
    reply = Site(serving(IMAGE)).predict(body, kind)
    assert (reply.status, words in reply.json["error"]) == (400, True), reply.json


def test_a_sound_is_resampled_and_padded_as_in_training():
    engine = Echo()
    site = Site(serving(AUDIO, engine=engine))
    tone = 9000 * np.sin(np.arange(100) / 5)
    assert site.predict(sound(tone, 16_000), "audio/wav").status == 200
    short = np.arange(50, dtype="<i2")
    assert site.predict(short.tobytes(), RAW).status == 200
    file, raw = engine.items
    assert file.shape == raw.shape == (1, 80) and file.dtype == np.float32
    assert np.abs(file[0, 5:45] * 2**15 - tone[10:90:2]).max() < 300
    assert not file[0, 51:].any()
    assert np.array_equal(raw[0, :50], short / np.float32(2**15))


def test_texts_come_as_they_are_or_in_json():
    engine = Echo()
    site = Site(serving(TEXT, engine=engine))
    text = "你好，明天见。好的。"
    assert site.predict(text.encode(), "text/plain; charset=utf-8").status == 200
    assert site.predict(text.encode("utf-16"), "Text/Plain").status == 200
    assert site.predict(text.encode(), RAW).status == 200
    body = {"text": text}
    named = {"content-type": "application/json"}
    assert site.ask("POST", "/models/toy/predict", body, named).status == 200
    assert [items.tolist() for items in engine.items] == [[text]] * 4


def test_what_the_model_saw_is_shown():
    site = Site(serving(IMAGE), serving(TEXT, model="words"))
    shown = site.predict(bytes(16), RAW, "?show=input").json["input"]
    assert shown.startswith('<img src="data:image/png;base64,')
    named = {"content-type": "text/plain"}
    path = "/models/words/predict?show=input"
    answer = site.ask("POST", path, b"<b>hi</b>", named).json
    assert answer["input"] == "<bdi>&lt;b&gt;hi&lt;/b&gt;</bdi>"
    assert site.predict(bytes(16), RAW, "?show=all").status == 400


@pytest.mark.parametrize(
    ("description", "body", "kind", "status", "words"),
    [
        (IMAGE, bytes(15), RAW, 422, "15 bytes"),
        (IMAGE, picture(np.zeros((5, 4), np.uint8)), "image/png", 422, "5 x 4 pixels"),
        (IMAGE, b"not a picture", "image/png", 422, "not one of PNG"),
        (IMAGE, picture(np.eye(4, dtype=np.uint8))[:-20], "image/png", 422, "damaged"),
        (IMAGE, b"x", "text/plain", 415, "image/*"),
        (TEXT, b"x", "", 415, "no Content-Type"),
        (AUDIO, b"x", RAW, 422, "1 bytes"),
        (AUDIO, b"RIFFxxxxWAVE", "audio/wav", 422, ""),
        (TEXT, b"a\0b", "text/plain", 422, "NUL"),
        (TEXT, b"{", "application/json", 400, "not JSON"),
        (TEXT, b"[" * 9000, "application/json", 400, "depth limit"),
        (TEXT, b'{"words": "a"}', "application/json", 422, '{"words": "a"}'),
        (TEXT, b'{"text": "\\ud800"}', "application/json", 400, "surrogate"),
    ],
)
def test_what_is_no_item_is_refused(description, body, kind, status, words):
    reply = Site(serving(description)).predict(body, kind)
    assert (reply.status, list(reply.json)) == (status, ["error"]), reply.body
    assert words in reply.json["error"]


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded"])
def test_a_photo_without_a_content_type_is_known_by_its_first_bytes(kind):
    body, site = picture(np.eye(4, dtype=np.uint8)), Site(serving(IMAGE))
    reply = site.predict(body, kind)
    assert reply.status == 200, reply.body
    assert reply.json["label"] == site.predict(body, "image/png").json["label"]


@pytest.mark.system
def test_a_bomb_is_refused_by_its_header():
    large = {**IMAGE, "shape": [20_000, 20_000, 1]}
    bomb = picture(np.zeros((1, 1), np.uint8))
    bomb = bomb[:16] + (20_000).to_bytes(4) * 2 + bomb[24:]
    reply = Site(serving(large)).predict(bomb, "image/png")
    assert reply.status == 422 and "400,000,000 bytes" in reply.json["error"]


def test_the_id_of_a_request_is_taken_if_it_is_sane():
    site = Site(serving(IMAGE))

    def id_of(own):
        named = {"content-type": RAW, "x-request-id": own}
        reply = site.ask("POST", "/models/toy/predict", bytes(16), named)
        assert reply.json["request_id"] == reply.headers["x-request-id"]
        return str(reply.headers["x-request-id"])

    assert id_of("order-7/a.b:c_d") == "order-7/a.b:c_d"
    for strange in ("", "a b", 'a"b', "<x>", "x" * 129):
        assert id_of(strange) not in ("", strange)
    assert id_of("") != id_of("")


SPEECH = {
    "task": "transcription",
    "medium": "audio",
    "shape": [8000],
    "sample_rate_hz": 8000,
    "target": {"unit": "words", "tokens": ["yes"], "longest": 3, "scripts": ["latin"]},
}


class Hears:
    """Hears a word in each part with a sound."""

    name = "toy"

    def __call__(self, items):
        outputs = np.zeros((len(items), 3, 2), np.float32)
        outputs[:, :, 1] = 1
        outputs[items.any(axis=1), 1] = [1, 0]
        return outputs

    def close(self):
        pass


@pytest.mark.parametrize(("seconds", "words"), [(0.5, 1), (2.5, 3), (60, 60)])
@pytest.mark.parametrize("kind", ["audio/wav", RAW])
def test_a_long_recording_is_answered_in_parts(seconds, words, kind):
    quiet = np.arange(round(seconds * 8000)) % 8000 > 6800
    samples = np.where(quiet, 0, 9000).astype(np.int16)
    samples[-1] = 9000
    body = samples.astype("<i2").tobytes() if kind == RAW else sound(samples, 8000)
    reply = Site(serving(SPEECH, engine=Hears())).predict(body, kind)
    assert reply.status == 200, reply.body
    heard = reply.json["transcript"].split()
    assert words <= len(heard) <= 1.4 * words
    assert reply.json["confidence"] == 1


@pytest.mark.parametrize(
    ("seconds", "rate", "reason"),
    [
        (61, 8000, "it is longer than 60 s, the most that is taken."),
        (2400, 1000, "2,400 s of 1 channels at 1,000 Hz; at most 600 s"),
    ],
)
def test_a_recording_of_minutes_is_refused(seconds, rate, reason):
    site = Site(serving(SPEECH, engine=Hears()))
    body = sound(np.full(seconds * rate, 9000, np.int16), rate)
    reply = site.predict(body, "audio/wav")
    assert reply.status == 422
    assert reply.json["error"].startswith(f"too_long: {reason}")


def test_a_list_of_models_says_how_long_a_recording_may_be():
    site = Site(serving(SPEECH, engine=Hears()), serving(AUDIO, model="other"))
    speech, other = site.ask("GET", "/models").json["models"]
    assert speech["longest_input"] == 480_000
    assert "longest_input" not in other


PHOTO = {
    **IMAGE,
    "shape": [4, 4, 3],
    "options": {"resize": "crop", "filter": "bicubic"},
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_of_any_size_is_what_training_made_of_it(kind):
    engine = Echo()
    site = Site(serving(PHOTO, engine=engine))
    rng = np.random.default_rng(2)
    for height, width in ((4, 4), (300, 400), (3, 2000)):
        file = picture(rng.integers(0, 256, (height, width, 3), np.uint8), kind)
        assert site.predict(file, "image/*").status == 200
        data = DataDescription.model_validate(PHOTO)
        (expected,) = decode_files([file], data).items
        assert np.array_equal(engine.items[-1][0], expected)
        answer = site.ask(
            "POST", "/models/toy/explain", file, {"content-type": "image/png"}
        )
        assert answer.status == 200
    assert site.predict(bytes(48), RAW).status == 200
    assert site.predict(bytes(47), RAW).status == 422
    assert (
        site.predict(picture(np.zeros((9, 9, 3), np.uint8))[:60], "image/png")
        .json["error"]
        .startswith("decode: damaged")
    )


def test_a_picture_that_is_decoded_to_too_much_is_refused(monkeypatch):
    site = Site(serving(PHOTO))
    file = picture(np.zeros((6000, 7000), np.uint8))
    assert site.predict(file, "image/png").status == 200
    monkeypatch.setattr("headrace.media.image.pixels.PIXEL_LIMIT", 10**6)
    assert (
        "at most 1,000,000 are taken" in site.predict(file, "image/png").json["error"]
    )


def test_a_page_is_told_that_the_server_resizes():
    (listed,) = Site(serving(PHOTO)).ask("GET", "/models").json["models"]
    assert listed["options"] == {"resize": "crop", "filter": "bicubic"}
    (listed,) = Site(serving(IMAGE)).ask("GET", "/models").json["models"]
    assert "options" not in listed


def test_an_item_is_taken_up_to_the_limit_that_the_models_file_states():
    row = a_row("toy", 1, {**IMAGE, "shape": [4, 4, 3]})
    file = picture(np.zeros((4, 4, 3), np.uint8))
    for limit, status in ((47, 422), (48, 200)):
        details = {**row.details, "max_item_bytes": limit}
        stated = row.model_copy(update={"details": details})
        served = Served(stated, Toy(3, 1), "champion", Settings())
        reply = Site(served).predict(file, "image/png")
        assert reply.status == status
        assert (b"48 bytes, decoded from" in reply.body) == (status == 422)
