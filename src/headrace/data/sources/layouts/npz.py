"""Named arrays in an NPZ archive, such as Keras's ``mnist.npz``."""

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
    labelled: bool,
) -> Iterator[Chunk]:
    """The rows of an npz, one pair of items and labels after the other.

    Args:
        tree: the members of the zip archive.
        findings: unused arrays are reported here.
        labelled: whether items without labels are refused; if not, a single array may
            have any name.

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
    # Arrays of items decide first, then arrays of labels.
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
        problem = f"has no array {missing[0]!r}" if missing else "has no items"
        raise _missing(arrays, where, problem)
    return pairs


def _items_of(arrays: Mapping[str, File], where: str) -> list[_Pair]:
    """All arrays of items, train before test, with the names of their labels."""
    pairs = [pair for layout in _LAYOUTS for pair in layout if pair[0] in arrays]
    if pairs:
        return pairs
    if len(arrays) != 1:
        raise _missing(arrays, where, "has no array of items that is known by its name")
    return [(next(iter(arrays)), "", None)]


def _missing(arrays: Mapping[str, File], where: str, problem: str) -> SourceError:
    names = ", ".join(sorted(arrays)[:12]) or "nothing"
    return SourceError(f"{where} {problem}; it holds {names}.", _EXPECTED)
