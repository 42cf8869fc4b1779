"""Decoded items, and the rows of a source that they come from."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots import Rejected
from headrace.errors import SourceError
from headrace.media.forms import Payload

if TYPE_CHECKING:
    from headrace.settings import Settings

_FREE_BYTES = 2 * 2**30


class Limits(NamedTuple):
    """What is decoded at most; see the settings of these names.

    Attributes:
        item_bytes: of one item.
        media_ratio: of decoded bytes to encoded ones.
    """

    item_bytes: int
    media_ratio: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Those of the settings."""
        return cls(settings.max_item_bytes, settings.max_media_ratio)


LIMITS = Limits(32 * 2**20, 500)


def check_media_ratio(where: str, unpacked: int, encoded: int, limits: Limits) -> None:
    """Refuse files that decode to many times their size, once past 2 GiB in all.

    Raises:
        SourceError: they are decompression bombs.
    """
    if unpacked > _FREE_BYTES and unpacked > limits.media_ratio * encoded:
        raise SourceError(
            f"{where} decodes from {encoded:,} bytes to {unpacked:,} or more: over "
            f"{limits.media_ratio} times its size, as decompression bombs do.",
            "Take out images that are empty and sounds that are silent, or raise "
            "HEADRACE_MAX_MEDIA_RATIO, if that is meant.",
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded items of one shape, and where each comes from.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type.
        split: of all of them; "" where the source has none.
        labels, names, groups: ``(n,)``, as the source has them.
        rows: their places in their part, ``(n,)``.
    """

    payload: Payload
    split: str
    labels: list[str]
    names: list[str]
    groups: list[str]
    rows: list[int]

    def take(self, kept: npt.NDArray[np.bool_]) -> Block:
        """The items where ``kept``, ``(n,)``, is true."""
        if kept.all():
            return self
        return self.at(np.flatnonzero(kept).tolist())

    def at(self, places: list[int]) -> Block:
        """Some of the items, by their places."""
        return Block(
            self.payload[places],
            self.split,
            [self.labels[place] for place in places],
            [self.names[place] for place in places],
            [self.groups[place] for place in places],
            [self.rows[place] for place in places],
        )

    def reject(
        self, place: int, check: str, reason: str, data: bytes | None = None
    ) -> Rejected:
        """One of the items as a rejected one; `data` where it was not decoded."""
        data = self.payload[place].tobytes() if data is None else data
        return Rejected(
            item=hashlib.sha256(data).hexdigest(),
            split=self.split,
            label=self.labels[place],
            name=self.names[place],
            group=self.groups[place],
            check=check,
            reason=reason,
        )


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of a source: each is in one of the blocks, or rejected.

    Attributes:
        count: number of rows.
        rejected: by row.
        scale: of the values as the source has them; "" where that is not known.
        array: that the rows are a part of; "" for files.
        notes: what was done to how many of them.
        encoded, unpacked: bytes of the files that were decoded, and of what they
            decode to, though not all of it is kept.
    """

    count: int
    blocks: list[Block]
    rejected: dict[int, Rejected]
    scale: str = ""
    array: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    encoded: int = 0
    unpacked: int = 0
