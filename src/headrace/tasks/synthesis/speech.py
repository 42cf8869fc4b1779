"""Answers to listen to: messages of several texts, sound files, a page of players."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pages import render
from headrace.errors import InputError
from headrace.media import medium
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription
from headrace.tasks import Speech
from headrace.tasks.forms import Outputs, some
from headrace.tasks.synthesis.distances import Floats, lengths
from headrace.tasks.synthesis.questions import SHOWN, form_of, unknown_text
from headrace.tasks.synthesis.recogniser import Indices

PAUSE_SECONDS = 0.12
MOST_TEXTS = 500
MOST = 60
FOLDER = "samples"


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


def as_wav(sound: Floats, rate_hz: int) -> bytes:
    """One sound ``(samples,)`` in -1 to 1 as a WAV file of 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(sound, -1, 1), rate_hz, "PCM_16", format="WAV")
    return file.getvalue()


def write_players(
    outputs: Floats, keys: Indices, heard: Indices, data: DataDescription, folder: Path
) -> None:
    """Write the first answer of each text and speaker, and ``samples/index.html``.

    Args:
        outputs: sounds ``(n, samples)``.
        keys, heard: text and speaker that were asked for, and heard, ``(n, 2)``.
        data: of the snapshot.
        folder: in which ``samples`` is made; at most `MOST` sounds are written.
    """
    place = folder / FOLDER
    place.mkdir(parents=True, exist_ok=True)
    _, firsts = np.unique(keys, axis=0, return_index=True)
    chosen = firsts[np.unique(np.linspace(0, len(firsts) - 1, MOST).astype(int))]
    ends, module, rows = lengths(outputs), medium(data.medium), []
    for number, row in enumerate(chosen.tolist()):
        end = int(ends[row])
        name = f"{number:03}.wav"
        (place / name).write_bytes(as_wav(outputs[row, :end], data.sample_rate_hz))
        text, speaker = (int(index) for index in keys[row])
        asked = [data.texts[text], data.speakers[speaker]]
        cells = [*asked, name_of(heard[row], data), name]
        sound: npt.NDArray[Any] = module.as_stored(outputs[row], data)
        rows.append({"item": module.as_html(sound, data), "cells": cells})
    table = {"heads": ["text", "speaker", "heard as", "file"], "rows": rows}
    page = render("items.html", title="Answers to listen to", listed=table)
    (place / "index.html").write_text(page, encoding="utf-8")


def name_of(key: Any, data: DataDescription) -> str:
    """The text and the speaker of a key ``(2,)``, if the data has speakers."""
    return f"{data.texts[int(key[0])]} {data.speakers[int(key[1])]}".strip()


SPEECH = Messages()
