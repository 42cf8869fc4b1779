"""A document has no label: it is its own target; what the contract expects of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import InputError
from headrace.media import medium
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Payload
from headrace.media.text.near import passages
from headrace.records import DataDescription
from headrace.tasks import Contract, Labels, Questions
from headrace.tasks.forms import Targets
from headrace.tasks.generation.documents import (
    codes_of,
    documents_of,
    padded,
    text_of,
    unpadded,
)


class NoLabels(Labels):
    STRATIFIED = False
    DTYPE = "int32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Chunks without the labels that a source may have."""
        for chunk in chunks:
            yield replace(chunk, labels=[""] * len(chunk.labels))

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        return frozenset()

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whatever documents val has, they are documents."""
        return True

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        return np.zeros(len(labels), self.DTYPE)


class Documents(Questions):
    DTYPE = np.dtype(np.uint8)
    CACHED = True

    def raw(self, stored: Payload) -> Payload:
        """Code points int32 ``(n, characters)``, padded with zeros."""
        return padded(documents_of(stored))

    def as_stored(self, raw: Payload, data: DataDescription) -> Payload:
        """UTF-8 bytes, uint8 ``(n, bytes)``."""
        texts = np.array([text_of(codes) for codes in unpadded(raw)], object)
        return medium(data.medium).as_stored(texts, data)

    def variants(self, stored: Payload) -> list[Payload]:
        """The one type of input that a saved model takes."""
        return [self.raw(stored)]

    def check_input(self, x: Any, data: DataDescription) -> Payload:
        """One text or a list of them, cleaned, cut and masked as in training.

        An array of integers holds code points ``(n, characters)``, padded with zeros.

        Raises:
            InputError: the input is no text, or a text is empty.
        """
        if isinstance(x, np.ndarray) and x.dtype.kind in "iu":
            x = _texts(x)
        texts = medium(data.medium).check_input(x, data).tolist()
        return padded([codes_of(text) for text in texts])


def _texts(rows: Payload) -> list[str]:
    """The texts of code points; InputError where they are none."""
    if rows.ndim != 2:
        raise InputError(
            f"The input has shape {rows.shape}; code points are (n, characters).",
            "Give a list of texts.",
        )
    try:
        return [text_of(codes) for codes in unpadded(rows.astype(np.int32))]
    except UnicodeDecodeError:
        raise InputError(
            "The input holds numbers that are no code points of Unicode.",
            "Give a list of texts.",
        ) from None


class WholeDocuments(Contract):
    PASSAGES = staticmethod(passages)
    THING = "document"


LABELS = NoLabels()
QUESTIONS = Documents()
CONTRACT = WholeDocuments()
