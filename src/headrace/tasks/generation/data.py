"""A document has no label: it is its own target; what the contract expects of it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.errors import InputError
from headrace.media import medium
from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Payload
from headrace.media.text.near import passages
from headrace.records import DataDescription
from headrace.tasks import Contract, Labels, Questions
from headrace.tasks.forms import Targets, parts_of

if TYPE_CHECKING:
    from headrace.tasks.forms import Shards

Codes: TypeAlias = npt.NDArray[np.int32]
TRAIN_CHARACTERS = 2**23  # that n-grams are counted in, and that are searched
# The padded width is a multiple, so that there are few shapes.
_MULTIPLE = 16


def codes_of(text: str) -> Codes:
    """The code points of a text, ``(characters,)``."""
    return np.frombuffer(text.encode("utf-32-le"), np.int32)


def text_of(codes: Codes) -> str:
    """The reverse of `codes_of`."""
    return codes.astype("<i4").tobytes().decode("utf-32-le")


def documents_of(stored: Payload) -> list[Codes]:
    """Texts ``(n, bytes)`` as in a snapshot, as code points."""
    return [codes_of(text) for text in medium("text").raw(stored).tolist()]


def documents_in(rows: Shards, most: float = math.inf) -> list[Codes]:
    """The documents of a split in their order, until they have ``most`` characters."""
    documents: list[Codes] = []
    size = 0
    for part in map(documents_of, (shard.items for shard in parts_of(rows))):
        documents += part
        size += sum(map(len, part))
        if size >= most:
            break
    return documents


def padded(documents: Sequence[Codes]) -> Codes:
    """Documents side by side, padded with zeros, ``(n, characters)``."""
    longest = max(map(len, documents), default=1) or 1
    rows = np.zeros((len(documents), -(-longest // _MULTIPLE) * _MULTIPLE), np.int32)
    for row, codes in zip(rows, documents, strict=True):
        row[: len(codes)] = codes
    return rows


def unpadded(rows: Codes) -> list[Codes]:
    """The reverse of `padded`."""
    sizes = np.count_nonzero(rows, axis=1).tolist()
    return [row[:size] for row, size in zip(rows, sizes, strict=True)]


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
