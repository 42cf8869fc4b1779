"""NPZ: arrays by name in a zip archive, as Keras's ``mnist.npz``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from headrace.data.sources.layouts.arrays import array_chunks, check_item
from headrace.data.sources.layouts.npy import open_npy
from headrace.data.sources.places.files import File
from headrace.data.sources.places.trees import FileTree, ignored_files
from headrace.errors import SourceError
from headrace.media.chunks import SPLITS, Chunk, SourceSplit
from headrace.records import Finding

if TYPE_CHECKING:
    from headrace.settings import Settings

_Pair = tuple[str, str, SourceSplit | None]
# Pairs of items and labels.
_LAYOUTS: tuple[tuple[_Pair, ...], ...] = (
    tuple((f"x_{split}", f"y_{split}", split) for split in SPLITS),
    tuple((f"{split}_images", f"{split}_labels", split) for split in SPLITS),
    (("x", "y", None),),
    (("X", "y", None),),
    (("images", "labels", None),),
)
_EXPECTED = "Name the arrays x_train, y_train, x_test and y_test, or x and y."


def is_npz(tree: FileTree) -> bool:
    """Whether an archive holds arrays."""
    return any(name.endswith(".npy") for name in tree.files)


def read_npz(
    tree: FileTree,
    findings: list[Finding],
    settings: Settings,
    *,
    labelled: bool = True,
) -> Iterator[Chunk]:
    """The rows of an npz, one pair of arrays after the other.

    Args:
        tree: the members of the zip archive.
        findings: arrays that are not used are reported here.
        settings: their limit on an item is kept.
        labelled: whether items without labels are refused; where not, a lone array
            may have any name.

    Raises:
        SourceError: an array is missing, damaged, or does not fit its labels.
    """
    arrays = {
        name.removesuffix(".npy"): file
        for name, file in tree.files.items()
        if name.endswith(".npy")
    }
    find = _pairs_of if labelled else _items_of
    pairs = find(arrays, tree.where)
    used = {name for pair in pairs for name in pair[:2]}
    unused = sorted(set(tree.files) - {f"{name}.npy" for name in used})
    findings.extend(ignored_files(tree.where, unused))
    for items, labels, split in pairs:
        x = open_npy(arrays[items])
        y = open_npy(arrays[labels]) if labels in arrays else None
        check_item(x, items, tree.where, settings)
        if y is not None:
            check_item(y, labels, tree.where, settings)
        yield from array_chunks(split, x, y, (items, labels), tree.where)


def _pairs_of(arrays: Mapping[str, File], where: str) -> list[_Pair]:
    # An array of items decides before one of labels does.
    layout = next(
        (
            layout
            for column in (0, 1)
            for layout in _LAYOUTS
            if any(pair[column] in arrays for pair in layout)
        ),
        (),
    )
    pairs = [pair for pair in layout if pair[0] in arrays or pair[1] in arrays]
    missing = [name for pair in pairs for name in pair[:2] if name not in arrays]
    if missing or not pairs:
        lacks = f"has no array {missing[0]!r}" if missing else "has no items"
        raise _lacking(arrays, where, lacks)
    return pairs


def _items_of(arrays: Mapping[str, File], where: str) -> list[_Pair]:
    """All arrays of items, train before test, with the names of their labels."""
    known = [pair for layout in _LAYOUTS for pair in layout if pair[0] in arrays]
    if known:
        return known
    if len(arrays) != 1:
        raise _lacking(arrays, where, "has no array of items that is known by its name")
    return [(next(iter(arrays)), "", None)]


def _lacking(arrays: Mapping[str, File], where: str, lacks: str) -> SourceError:
    held = ", ".join(sorted(arrays)[:12]) or "nothing"
    return SourceError(f"{where} {lacks}; it holds {held}.", _EXPECTED)
