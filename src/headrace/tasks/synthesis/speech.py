"""Messages of several texts, spoken one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from headrace.errors import InputError
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription
from headrace.tasks import Speech
from headrace.tasks.forms import Outputs, some
from headrace.tasks.synthesis.distances import Floats, lengths
from headrace.tasks.synthesis.players import as_wav
from headrace.tasks.synthesis.questions import SHOWN, form_of, unknown_text

PAUSE_SECONDS = 0.12
MOST_TEXTS = 500


def _parted(words: Sequence[str], data: DataDescription) -> list[str]:
    """Words as known texts; InputError where no texts make them up."""
    by_words = {" ".join(text.split()): text for text in data.texts}
    most = max(len(text.split()) for text in data.texts)
    fitting: list[list[int]] = []  # the ends of the texts that begin at each word
    for start in range(len(words)):
        ends = range(min(start + most, len(words)), start, -1)
        fitting.append([end for end in ends if " ".join(words[start:end]) in by_words])
    fits = [True] * (len(words) + 1)  # whether the rest from a word on does
    for start in reversed(range(len(words))):
        fits[start] = any(fits[end] for end in fitting[start])
    texts: list[str] = []
    start = 0
    while start < len(words):
        if not fitting[start]:
            raise unknown_text(words[start], data.texts)
        end = next((end for end in fitting[start] if fits[end]), fitting[start][0])
        texts.append(by_words[" ".join(words[start:end])])
        start = end
    return texts


class Messages(Speech):
    def questions(
        self, message: str, fields: Mapping[str, Any], data: DataDescription
    ) -> list[dict[str, Any]]:
        """The longest text that fits, and leaves a rest that fits, is taken first.

        The seed of each text is one more than that of the one before, so that a
        repeated text varies.
        """
        words = plain_label(message).split()
        if not words:
            examples = some(data.texts, SHOWN)
            raise InputError("There is nothing to say.", f"It knows: {examples}.")
        texts = _parted(words, data)
        if len(texts) > MOST_TEXTS:
            raise InputError(
                f"The message has {len(texts):,} texts; at most {MOST_TEXTS:,} are "
                "said at once.",
                "Say it in parts.",
            )
        first: Any = form_of(data).model_validate({**fields, "text": texts[0]})
        return [
            {**fields, "text": text, "seed": first.seed + number}
            for number, text in enumerate(texts)
        ]

    def joined(self, outputs: Outputs, data: DataDescription) -> Floats:
        """The sounds up to their ends, with short pauses between them."""
        pause = np.zeros(round(PAUSE_SECONDS * data.sample_rate_hz), np.float32)
        parts: list[Floats] = []
        for sound, end in zip(outputs, lengths(outputs).tolist(), strict=True):
            parts += [sound[:end], pause]
        return np.concatenate(parts[:-1]) if parts else pause[:0]

    def file(self, sound: Outputs, data: DataDescription) -> bytes:
        return as_wav(sound, data.sample_rate_hz)


SPEECH = Messages()
