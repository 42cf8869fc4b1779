import io

import numpy as np
import pytest
import soundfile

from headrace.media.audio import mpeg
from headrace.media.audio.files import decode_files, sizes, suggest
from headrace.media.chunks import Chunk
from headrace.media.forms import Problem
from headrace.records import Form

RATE = 16_000
FORM = Form(shape=(RATE,), sample_rate_hz=RATE)
TIMES = np.arange(RATE) / RATE
SOUND = 0.3 * np.sin(2 * np.pi * (200 + 300 * TIMES) * TIMES)


def _mp3(sound=SOUND, rate=RATE, mode="CONSTANT"):
    buffer = io.BytesIO()
    options = {"bitrate_mode": mode, "compression_level": 0.5}
    soundfile.write(buffer, sound, rate, format="MP3", **options)
    return buffer.getvalue()


def _item(data, form=FORM):
    (item,) = decode_files([data], form).items
    return item


def _reason(data):
    item = _item(data)
    assert isinstance(item, Problem), item
    return item.check, item.reason


def _without_first_frame(data):
    return data[mpeg.frames_of(data).size :]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 44_100, 48_000])
def test_an_mp3_decodes_to_about_its_samples(rate, mode, channels):
    sound = 0.3 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    data = _mp3(np.stack([sound] * channels, axis=1), rate, mode)
    item = _item(data, Form(shape=(2 * rate,), sample_rate_hz=rate))
    assert np.abs(item[:rate] / 32_768 - sound)[1000:-1000].mean() < 0.01
    assert item.nonzero()[0][-1] in range(rate - 3, rate)


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_does_not_declare_its_length_is_read_to_its_end(mode):
    data = _without_first_frame(_mp3(np.tile(SOUND, 4), mode=mode))
    form = Form(shape=(9 * RATE,), sample_rate_hz=RATE)
    frames = mpeg.frames_of(data)
    item = _item(data, form)
    # The decoder's own delay is cut off; the encoder's is not known.
    assert item.nonzero()[0][-1] in range(4 * RATE, frames.number * frames.samples)
    assert np.abs(item[576 : 576 + RATE] / 32_768 - SOUND)[1000:-1000].mean() < 0.01


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
def test_tags_and_filling_are_harmless(before, after, capfd):
    data = _mp3()
    assert np.array_equal(_item(before + data + after), _item(data))
    assert capfd.readouterr() == ("", "")


def test_an_mp3_that_is_cut_short_is_refused_wherever_it_is_cut(capfd):
    data = _mp3()
    checks = {_reason(data[:size])[0] for size in range(4, len(data), 97)}
    assert checks <= {"truncated", "damaged"}
    assert _reason(data[:-1])[1].startswith("its frame 30 ends at byte")
    assert capfd.readouterr() == ("", "")


def test_an_mp3_that_lacks_frames_is_cut_short():
    data = _mp3()
    frames = mpeg.frames_of(data)
    expected = f"it declares {frames.number - 1} MP3 frames, but {frames.number - 2}"
    check, reason = _reason(data[: -frames.size])
    assert check == "truncated"
    assert reason.startswith(expected)


def test_an_mp3_that_holds_more_than_it_declares_is_not_cut():
    data = _mp3()
    assert _reason(data + data)[1].startswith("it declares 30 MP3 frames, but 61 are")


def test_bytes_between_the_frames_are_damage():
    data = _mp3()
    place = 5 * mpeg.frames_of(data).size
    damaged = data[:place] + b"abc" + data[place:]
    reason = f"no MP3 frame where one begins, at byte {place:,}"
    assert _reason(damaged) == ("damaged", reason)


def test_frames_of_another_sound_are_damage():
    data, other = _mp3(), _mp3(SOUND[::-1].copy())
    assert len(data) == len(other)
    mixed = data[:2000] + other[2000:]
    assert _reason(mixed) == (
        "damaged",
        "its frames differ from the checksum in the first one",
    )


@pytest.mark.parametrize(
    "head",
    [
        "fffb0064",  # of a free bit rate
        "fffbf064",  # of no bit rate
        "fffb9c64",  # of no sample rate
        "ffeb9064",  # of no version
        "fffd9064",  # of layer II
    ],
)
def test_what_is_no_frame_of_layer_3_is_refused(head):
    data = b"ID3\4\0\0\0\0\0\0" + bytes.fromhex(head) + bytes(2000)
    assert _reason(data) == ("damaged", "no MP3 frame where one begins, at byte 10")


def test_frames_of_another_rate_or_of_other_channels_are_damage():
    stereo = _mp3(np.stack([SOUND, SOUND], axis=1))
    for other in (_mp3(rate=44_100), stereo):
        assert _reason(_mp3() + other)[0] == "damaged"


def test_an_mp3_of_hours_is_refused_before_it_is_decoded():
    frame = bytes.fromhex("ffe318c4") + bytes(68)  # 72 ms
    assert _reason(frame * 9000) == ("too_long", "it is longer than 600 s")


def test_the_form_of_mp3_files_is_suggested_from_their_frames(capfd):
    data = _without_first_frame(_mp3(np.tile(SOUND, 4), mode="VARIABLE"))
    items = [data, data, data[:-9], b"ID3\4"]
    labels, names = ["a"] * 4, list("abcd")
    form = suggest([Chunk(None, items, labels, names)])
    assert form == {"sample_rate_hz": RATE, "seconds": 4.25}
    assert capfd.readouterr() == ("", "")


def test_the_size_of_an_mp3_comes_from_its_frames():
    data = _without_first_frame(_mp3(np.tile(SOUND, 3)))
    form = Form(sample_rate_hz=RATE)
    (unpacked,), (size,) = sizes([data], form)
    frames = mpeg.frames_of(data)
    assert unpacked == 2 * frames.number * frames.samples
    assert _item(data, form).nbytes <= size < 2 * 2 * 3 * RATE


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"123456789", 0xBB3D),  # the check value of CRC-16/ARC
        (bytes(70_000) + b"123456789", 0xBB3D),
        (b"1" + bytes(32_766) + b"1", 0),
        (b"1" + bytes(32_767), 0xD4C1),
    ],
)
def test_the_checksum_is_crc_16(data, crc):
    assert int.from_bytes(mpeg.crc16(data)) == crc
