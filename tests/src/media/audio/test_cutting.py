"""Long recordings that are cut at quiet places."""

import numpy as np
import pytest

from headrace.media.audio.samples import MOST_SECONDS, cut, long_form, parts
from headrace.media.forms import Problem
from headrace.records import DataDescription

RATE = 8000
DATA = DataDescription(
    medium="audio",
    shape=(2 * RATE,),
    sample_rate_hz=RATE,
    target={"classes": ["a", "b"]},
)


def bursts(count, seconds=0.5, pause=0.2):
    """Loud bursts with quiet noise between them, int16."""
    random = np.random.default_rng(0)
    loud = random.normal(0, 5000, (count, round(seconds * RATE)))
    quiet = random.normal(0, 20, (count, round(pause * RATE)))
    return np.concatenate([loud, quiet], axis=1).ravel().astype(np.int16)


def test_parts_are_the_sound_and_no_burst_is_cut():
    sound = bursts(20)
    pieces = cut(sound, 2 * RATE, RATE)
    assert (np.concatenate(pieces) == sound).all()
    assert 7 <= len(pieces) <= 14
    assert max(map(len, pieces)) <= 2 * RATE
    for part in pieces[:-1]:
        assert np.abs(part[-240:].astype(int)).max() < 200
    for part in pieces[1:]:
        assert np.abs(part[:240].astype(int)).max() < 200


@pytest.mark.parametrize("length", [1, 15_999, 16_000])
def test_what_fits_is_not_cut(length):
    assert [len(part) for part in cut(np.ones(length, np.int16), 16_000, RATE)] == [
        length
    ]


def test_a_sound_without_a_quiet_place_is_cut_all_the_same():
    for sound in (np.zeros(50_000, np.int16), np.full(50_000, 9000, np.int16)):
        pieces = cut(sound, 16_000, RATE)
        assert sum(map(len, pieces)) == 50_000
        assert max(map(len, pieces)) <= 16_000
        assert len(pieces) <= 8


def test_parts_are_padded_to_the_length_of_the_model():
    rows = parts(np.pad(bursts(10), (0, 9000)), DATA)
    assert isinstance(rows, np.ndarray)
    assert (rows.dtype, rows.shape[1]) == (np.int16, 16_000)
    assert 4 <= len(rows) <= 8
    for sound in (bursts(1), np.zeros(100, np.int16)):
        short = parts(sound, DATA)
        assert isinstance(short, np.ndarray)
        assert short.shape == (1, 16_000)


def test_a_minute_is_taken_and_no_more():
    assert long_form(DATA).shape == (60 * RATE + 1,)
    minute = np.tile(bursts(1), 200)[: MOST_SECONDS * RATE]
    minute[-1] = 1
    assert isinstance(parts(minute, DATA), np.ndarray)
    longer = np.append(minute, np.int16(1))
    assert parts(longer, DATA) == Problem(
        "too_long", "it is longer than 60 s, the most that is taken"
    )
