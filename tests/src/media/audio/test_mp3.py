import io

import numpy as np
import pytest
import soundfile

from headrace.media.audio import headers
from headrace.media.audio.files import decode_files, suggest
from headrace.media.chunks import Chunk
from headrace.media.forms import Problem
from headrace.records import Form

RATE = 16_000
FORM = Form(shape=(RATE,), sample_rate_hz=RATE)
TIMES = np.arange(RATE) / RATE
SOUND = 0.3 * np.sin(2 * np.pi * (200 + 300 * TIMES) * TIMES)
CONSTANT_BYTES = 360  # of each frame at 160 kbit/s


def _mp3(sound=SOUND, rate=RATE, mode="CONSTANT"):
    buffer = io.BytesIO()
    options = {"bitrate_mode": mode, "compression_level": 0.5}
    soundfile.write(buffer, sound, rate, format="MP3", **options)
    return buffer.getvalue()


def _item(data, form=FORM):
    (item,) = decode_files([data], form).items
    return item


def _problem(data):
    item = _item(data)
    assert isinstance(item, Problem), item
    return item


def _without_number(data):
    """Without the first frame, which has the number of frames."""
    return data[data.index(data[:2], 100) :]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 44_100, 48_000])
def test_an_mp3_decodes_to_about_its_samples(rate, mode, channels):
    sound = 0.3 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    data = _mp3(np.stack([sound] * channels, axis=1), rate, mode)
    item = _item(data, Form(shape=(2 * rate,), sample_rate_hz=rate))
    assert np.abs(item[:rate] / 32_768 - sound)[1000:-1000].mean() < 0.01
    assert item.nonzero()[0][-1] in range(rate - 3, rate)


@pytest.mark.parametrize("tag", [b"", b"ID3\4\0\0\0\0\1\2" + bytes(130)])
def test_an_mp3_of_one_bit_rate_need_not_say_how_long_it_is(tag):
    data = tag + _without_number(_mp3(np.tile(SOUND, 4)))
    form = Form(shape=(9 * RATE,), sample_rate_hz=RATE)
    decoded = decode_files([data], form)
    (item,) = decoded.items
    assert 4 * RATE <= item.nonzero()[0][-1] < 4.2 * RATE
    assert decoded.notes == {headers.UNKNOWN_LENGTH: 1}


def test_an_mp3_of_many_bit_rates_has_to_say_how_long_it_is():
    """libsndfile would guess, and read a part of it."""
    data = _without_number(_mp3(np.tile(SOUND, 40), mode="VARIABLE"))
    problem = _problem(data)
    assert problem.check == "header"
    assert problem.reason.startswith("it does not say how long it is, or wrongly")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"ID3\4\0\0\0\0\1\2" + bytes(130), b""),
        (b"ID3\4\0\0\0\0\0\1\0" * 2, b""),
        (b"", b"TAG" + bytes(125)),
        (b"", b"APETAGEX" + b"\1" * 24),
        (b"", bytes(400)),
    ],
)
def test_tags_and_filling_are_harmless(before, after):
    data = _mp3()
    assert np.array_equal(_item(before + data + after), _item(data))


def test_an_mp3_that_is_cut_short_is_refused_wherever_it_is_cut():
    data = _mp3()
    checks = {_problem(data[:size]).check for size in range(4, len(data), 97)}
    assert checks <= {"truncated", "damaged"}
    expected = "its header declares 16,000 frames, and"
    assert _problem(data[:-CONSTANT_BYTES]).reason.startswith(expected)


def test_an_mp3_that_holds_more_than_it_declares_is_not_cut():
    data = _mp3()
    assert _problem(data + data).check == "header"


def test_an_mp3_of_hours_is_refused_before_it_is_decoded():
    frame = bytes.fromhex("ffe318c4") + bytes(68)  # 72 ms
    assert _problem(frame * 9000).check == "too_long"


def test_the_form_of_mp3_files_is_suggested_from_their_headers():
    data = _mp3(np.tile(SOUND, 4), mode="VARIABLE")
    items = [data, data, data, b"ID3\4"]
    form = suggest([Chunk(None, items, ["a"] * 4, list("abcd"))])
    assert form == {"sample_rate_hz": RATE, "seconds": 4.0}
