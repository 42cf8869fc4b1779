"""Texts and speakers, and what a recording is compared by.

A target has the index of the text, that of the speaker, and the time-normalised
spectrum of the recording, so that an answer can be compared with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.media import medium
from headrace.media.audio.spectra import Framing
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Payload
from headrace.records import DataDescription
from headrace.spec import DataSpec
from headrace.spec.tables import plain_label
from headrace.tasks import Labels
from headrace.tasks.forms import Targets
from headrace.tasks.synthesis.distances import STEPS, bins_of, profiles


class Texts(Labels):
    STRATIFIED = True
    GROUPS_APART = False
    DTYPE = "float32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Texts without outer blanks, in one form of Unicode (NFC)."""
        for chunk in chunks:
            yield replace(chunk, labels=[plain_label(label) for label in chunk.labels])

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """All of them, once."""
        return frozenset(labels)

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


PART = Texts()
