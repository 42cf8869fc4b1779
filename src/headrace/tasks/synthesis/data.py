"""Texts and speakers, and what a recording is compared by.

A target has the index of the text, that of the speaker, and the time-normalised
spectrum of the recording, so that an answer can be compared with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import InputError
from headrace.media import medium
from headrace.media.audio.spectra import Framing
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Payload
from headrace.pipeline import DataSpec
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription
from headrace.tasks import Labels, Questions
from headrace.tasks.forms import Targets
from headrace.tasks.synthesis.distances import STEPS, bins_of, profiles
from headrace.tasks.synthesis.questions import (
    NOISE,
    VARIATION,
    Floats,
    Layout,
    checked,
    index_of,
    noise_of,
    pack,
    question,
)


class Texts(Labels):
    STRATIFIED = True
    GROUPS_APART = False
    DTYPE = "float32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Texts without outer blanks, in one form of Unicode (NFC)."""
        for chunk in chunks:
            yield replace(chunk, labels=[plain_label(label) for label in chunk.labels])

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The texts, their characters, and the length of the longest."""
        texts = sorted(set(labels) - {""})
        return {
            "texts": texts,
            "characters": sorted({letter for text in texts for letter in text}),
            "longest": max(map(len, texts), default=1),
        }

    def describe_groups(self, groups: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The speakers; one without a name where the data has no groups."""
        return {"speakers": sorted(set(groups)) or [""]}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether val has all texts of train."""
        return bool(val) and set(train) <= set(val)

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """The indices of the texts, float32 ``(n,)``; -1 where one is not known."""
        index = pc.index_in(labels, pa.array(data.texts, pa.string()))
        return np.asarray(pc.fill_null(index, -1), dtype=self.DTYPE)

    def target_shape(self, data: DataDescription) -> tuple[int, ...]:
        """Two indices and a profile."""
        return (2 + STEPS * bins_of(Framing.of(data)),)

    def targets(
        self,
        items: Payload,
        labels: pa.ChunkedArray,
        groups: Sequence[str],
        data: DataDescription,
    ) -> Targets:
        """The indices of text and speaker, and the recording's profile."""
        speakers = pa.array(list(groups) or [""] * len(labels), pa.string())
        index = pc.index_in(speakers, pa.array(data.speakers, pa.string()))
        sounds = medium(data.medium).raw(items)
        return np.column_stack(
            [
                self.encode(labels, data),
                np.asarray(pc.fill_null(index, -1), np.float32),
                profiles(sounds, Framing.of(data)).reshape(len(items), -1),
            ]
        ).astype(self.DTYPE)


class Spoken(Questions):
    DTYPE = np.dtype(np.float32)
    CACHED = False
    OF_ITEMS = False

    def shape(self, data: DataDescription) -> tuple[int, ...]:
        """The size of a packed question."""
        return (Layout.of(data).size,)

    def of(
        self,
        items: Payload,
        labels: pa.ChunkedArray,
        groups: Sequence[str],
        data: DataDescription,
    ) -> Floats:
        """A row's text and speaker, the model's own length, and noise from its item."""
        speakers = [index_of(group, data) for group in groups or [""] * len(labels)]
        seeds = [int(hashlib.sha256(item).hexdigest()[:16], 16) for item in items]
        noise = [noise_of(seed, VARIATION) for seed in seeds]
        stacked = np.array(noise, np.float32).reshape(-1, NOISE)
        return pack(data, labels.to_pylist(), speakers, stacked)

    def raw(self, payload: Payload) -> Payload:
        return payload

    def as_stored(self, items: Payload, data: DataDescription) -> Payload:
        return items

    def variants(self, payload: Payload) -> list[Payload]:
        """The one type of input that a saved model takes."""
        return [payload]

    def check_input(self, x: Any, data: DataDescription) -> Floats:
        """Questions of a user.

        Args:
            x: a text, a mapping with ``text`` and perhaps ``speaker`` (by default the
                first), ``variation`` (0 to 2, by default 1), ``seed`` (0) and
                ``seconds`` (the model's own), a list of these, or packed questions.
            data: of the model.

        Raises:
            InputError: an unknown text, speaker or field, or a value out of range.
        """
        if isinstance(x, np.ndarray) and x.dtype.kind == "f":
            return checked(x, data)
        asked = [x] if isinstance(x, str | Mapping) else x
        if not isinstance(asked, Sequence | np.ndarray) or not len(asked):
            raise InputError(
                f"A question is a text or an object with a text, and not {x!r:.60}.",
                'Ask for example {"text": ' + f'"{data.texts[0]}"' + "}.",
            )
        return np.concatenate([question(one, data) for one in asked])


LABELS = Texts()
QUESTIONS = Spoken()
