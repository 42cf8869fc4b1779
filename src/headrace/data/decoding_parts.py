"""Decoded items and their rows in the source."""

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
    """Limits of decoding; see the settings of these names.

    Attributes:
        item_bytes: of one item.
        media_ratio: of decoded to encoded bytes.
    """

    item_bytes: int
    media_ratio: int

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """The limits of the settings."""
        return cls(settings.max_item_bytes, settings.max_media_ratio)


LIMITS = Limits(32 * 2**20, 500)


def check_media_ratio(where: str, unpacked: int, encoded: int, limits: Limits) -> None:
    """Refuse files that decode to over 2 GiB in all and to many times their size.

    Raises:
        SourceError: they are decompression bombs.
    """
    if unpacked > _FREE_BYTES and unpacked > limits.media_ratio * encoded:
        raise SourceError(
            f"{where} decodes from {encoded:,} bytes to {unpacked:,} or more: over "
            f"{limits.media_ratio} times its size, as decompression bombs do.",
            "Take out images that are empty and sounds that are silent, or raise "
            "HEADRACE_MAX_MEDIA_RATIO, if that is intended.",
        )


@dataclass(frozen=True, slots=True)
class Block:
    """Decoded items of one shape, and their rows.

    Attributes:
        payload: ``(n, *shape)``, of the medium's type.
        split: of all of them; "" if the source has none.
        labels, names, groups: ``(n,)``, as the source has them.
        rows: their places in their part, ``(n,)``.
    """

    payload: Payload
    split: str
    labels: list[str]
    names: list[str]
    groups: list[str]
    rows: list[int]

    def take(self, chosen: npt.NDArray[np.bool_]) -> Block:
        """The items that are chosen, ``(n,)``."""
        if chosen.all():
            return self
        return self.at(np.flatnonzero(chosen).tolist())

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
        """Reject an item; `data` are its bytes if it was not decoded."""
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
    """Consecutive rows of a source; each is in one of the blocks, or rejected.

    Attributes:
        count: number of rows.
        rejected: by row.
        scale: of the values in the source; "" if unknown.
        array: the array that the rows are from; "" for files.
        notes: counts of changes.
        encoded, unpacked: bytes of the decoded files, and of all that they decode to.
    """

    count: int
    blocks: list[Block]
    rejected: dict[int, Rejected]
    scale: str = ""
    array: str = ""
    notes: Counter[str] = field(default_factory=Counter)
    encoded: int = 0
    unpacked: int = 0
