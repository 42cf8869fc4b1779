"""Named arrays (of an npz, of IDX files) brought together to chunks of rows."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from headrace.errors import SourceError
from headrace.sources.chunks import Chunk, SourceSplit
from headrace.sources.labels import labels_as_text


def array_chunk(
    split: SourceSplit | None,
    items: npt.NDArray[Any],
    labels: npt.NDArray[Any] | None,
    names: tuple[str, str],
    where: str,
) -> Chunk:
    """One chunk of an array of items and its labels.

    Args:
        split: of all rows.
        items: ``(n, ...)``.
        labels: ``(n,)``, or one-hot; None where there are none.
        names: of the two arrays in their source.
        where: the source, for messages.

    Raises:
        SourceError: they do not belong together.
    """
    item_name, label_name = names
    if items.ndim < 2:
        raise SourceError(
            f"{where}: {item_name} has shape {items.shape}, which is not one of items: "
            "these look like labels.",
            f"{item_name} must hold the items and {label_name} their labels.",
        )
    if labels is not None and (labels.ndim == 0 or len(items) != len(labels)):
        count = len(labels) if labels.ndim else 1
        raise SourceError(
            f"{where}: {item_name} has {len(items):,} items, but {label_name} has "
            f"{count:,} labels.",
            "Each item needs one label, in the same order.",
        )
    if len(items) == 0:
        raise SourceError(
            f"{where}: {item_name} holds no items.", "Give data with rows."
        )
    text = [""] * len(items)
    if labels is not None:
        text = labels_as_text(labels, f"{where}: {label_name}")
    rows = [f"{item_name}[{row}]" for row in range(len(items))]
    return Chunk(split, items, text, rows)
