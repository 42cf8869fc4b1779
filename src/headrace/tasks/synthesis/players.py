"""Answers to listen to: sound files, and a page with a player for each."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display.pages import render
from headrace.media import medium
from headrace.records import DataDescription
from headrace.tasks.synthesis.distances import Floats, lengths
from headrace.tasks.synthesis.recogniser import Indices

MOST = 60
FOLDER = "samples"


def as_wav(sound: Floats, rate_hz: int) -> bytes:
    """One sound ``(samples,)`` in -1 to 1 as a WAV file of 16 bits."""
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, np.clip(sound, -1, 1), rate_hz, "PCM_16", format="WAV")
    return file.getvalue()


def write(
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
