"""Long recordings that are cut at quiet places."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from headrace.media.audio.cutting import MOST_SECONDS, cut, decode_parts
from headrace.media.forms import Problem
from headrace.records import DataDescription

RATE = 8000
DATA = DataDescription(
    medium="audio",
    shape=(2 * RATE,),
    sample_rate_hz=RATE,
    target={"classes": ["a", "b"]},
)


def bursts(count: int, seconds: float = 0.5, pause: float = 0.2) -> np.ndarray:
    """Loud bursts with quiet noise between them, int16."""
    random = np.random.default_rng(0)
    loud = random.normal(0, 5000, (count, round(seconds * RATE)))
    quiet = random.normal(0, 20, (count, round(pause * RATE)))
    return np.concatenate([loud, quiet], axis=1).ravel().astype(np.int16)


def wav(sound: np.ndarray, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, sound, rate, "PCM_16", format="WAV")
    return buffer.getvalue()


def test_parts_are_the_sound_and_no_burst_is_cut() -> None:
    sound = bursts(20)
    parts = cut(sound, 2 * RATE, RATE)
    assert (np.concatenate(parts) == sound).all()
    assert 7 <= len(parts) <= 14
    assert max(map(len, parts)) <= 2 * RATE
    for part in parts[:-1]:
        assert np.abs(part[-240:].astype(int)).max() < 200
    for part in parts[1:]:
        assert np.abs(part[:240].astype(int)).max() < 200


@pytest.mark.parametrize("length", [1, 15_999, 16_000])
def test_what_fits_is_not_cut(length: int) -> None:
    assert [len(part) for part in cut(np.ones(length, np.int16), 16_000, RATE)] == [
        length
    ]


def test_a_sound_without_a_quiet_place_is_cut_all_the_same() -> None:
    for sound in (np.zeros(50_000, np.int16), np.full(50_000, 9000, np.int16)):
        parts = cut(sound, 16_000, RATE)
        assert sum(map(len, parts)) == 50_000
        assert max(map(len, parts)) <= 16_000
        assert len(parts) <= 8


def test_a_file_is_decoded_to_padded_parts() -> None:
    rows = decode_parts(wav(bursts(10)), DATA)
    assert isinstance(rows, np.ndarray)
    assert (rows.dtype, rows.shape[1]) == (np.int16, 16_000)
    assert 4 <= len(rows) <= 8
    short = decode_parts(wav(bursts(1)), DATA)
    assert isinstance(short, np.ndarray)
    assert short.shape == (1, 16_000)
    silent = decode_parts(wav(np.zeros(100, np.int16)), DATA)
    assert isinstance(silent, np.ndarray) and silent.shape == (1, 16_000)


def test_what_is_too_long_or_no_sound_is_a_problem() -> None:
    minute = np.tile(bursts(1), 200)[: MOST_SECONDS * RATE]
    assert isinstance(decode_parts(wav(minute), DATA), np.ndarray)
    problem = decode_parts(wav(np.append(minute, np.int16(1))), DATA)
    assert problem == Problem(
        "too_long", "it is longer than 60 s, the most that is taken"
    )
    assert isinstance(decode_parts(b"RIFF", DATA), Problem)
