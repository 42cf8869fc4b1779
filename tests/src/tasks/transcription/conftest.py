"""A vocabulary of words and one of characters, and answers that spell transcripts."""

import numpy as np
import pyarrow as pa
import pytest

from headrace.pipeline import DataSpec
from headrace.records import DataDescription
from headrace.tasks.transcription.data import LABELS

WORDS = ["one", "two", "one two", "two one two"]


def described(transcripts):
    """The description of sounds with these transcripts."""
    target = LABELS.describe(transcripts, DataSpec(source="x"))
    return DataDescription(
        medium="audio",
        task="transcription",
        shape=(8000,),
        sample_rate_hz=8000,
        target=target,
    )


def encoded(transcripts, data):
    return LABELS.encode(pa.chunked_array([pa.array(transcripts, pa.string())]), data)


def spelled(transcripts, data, sure=0.9):
    """Outputs whose likeliest paths are transcripts, float32 ``(n, steps, width)``."""
    tokens = {token: number for number, token in enumerate(data.tokens)}
    blank, steps = len(tokens), 2 * data.longest + 3
    outputs = np.full((len(transcripts), steps, blank + 1), 0, np.float32)
    outputs += (1 - sure) / blank
    for row, text in enumerate(transcripts):
        path = np.full(steps, blank)
        units = text.split() if data.unit == "words" else list(text)
        path[1 : 2 * len(units) + 1 : 2] = [tokens[unit] for unit in units]
        outputs[row, np.arange(steps), path] = sure
    return outputs


@pytest.fixture
def words():
    return described(WORDS)


@pytest.fixture
def characters():
    return described(
        [f"word{chr(97 + n // 26)}{chr(97 + n % 26)} a" for n in range(80)]
    )
