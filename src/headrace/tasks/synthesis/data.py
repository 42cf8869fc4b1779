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
from headrace.media.forms import Expectation, Payload
from headrace.pipeline import DataSpec
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription
from headrace.tasks import Contract, Labels, Questions
from headrace.tasks.forms import Column, Counts, Targets, some
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

FEW_TAKES = 8  # of a text, of all speakers; an average of fewer is a copy
_SHOWN = 10


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


def _missing(split: str, counts: Counts, texts: Sequence[str]) -> str:
    """A message on the texts without a row in a split; empty where there are none."""
    missing = [repr(text) for text in texts if not counts[split, text]]
    if not missing:
        return ""
    return (
        f"{split} has no recording of {some(missing, _SHOWN)}; a text needs at least 2 "
        "different recordings, one in train and one in test"
    )


class KnownTexts(Contract):
    COLUMNS: Sequence[str] = ("takes",)

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Texts are not empty, and train and test have rows of each."""
        among = {"column": "label", "value_set": list(data.texts)}
        enough = {"column": "takes", "min_value": FEW_TAKES}
        not_null = "expect_column_values_to_not_be_null"
        contains = "expect_column_distinct_values_to_contain_set"
        least = "expect_column_min_to_be_between"
        return [
            Expectation("label", not_null, {"column": "label"}, "it has no text"),
            Expectation("texts", contains, among, split="train"),
            Expectation("texts", contains, among, split="test"),
            Expectation("takes", least, enough, split="train", warns=True),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """``takes``: the number of recordings of a row's text in its split."""
        pairs = zip(split.tolist(), label.tolist(), strict=True)
        return {"takes": np.array([counts[pair] for pair in pairs], np.float64)}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """The texts that a split lacks."""
        return _missing(split, counts, data.texts) if check == "texts" else ""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The texts that train or test lacks."""
        problems = (_missing(s, counts, data.texts) for s in ("train", "test"))
        return [problem for problem in problems if problem]

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """The texts with few recordings in train."""
        if check != "takes":
            return None
        takes = {text: counts["train", text] for text in data.texts}
        few = [f"{text!r} has {n:,}" for text, n in takes.items() if n < FEW_TAKES]
        message = (
            f"a voice needs {FEW_TAKES} recordings of each text in train, and "
            f"{some(few, _SHOWN)}"
        )
        return len(few), message


LABELS = Texts()
QUESTIONS = Spoken()
CONTRACT = KnownTexts()
