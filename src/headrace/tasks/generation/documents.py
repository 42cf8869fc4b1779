"""Documents as code points, and as they are stored: UTF-8 bytes padded with zeros."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.media import medium
from headrace.media.forms import Payload
from headrace.tasks.forms import parts_of

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
