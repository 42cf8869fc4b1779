"""What decides on the split of each row, in memory: some 40 bytes a row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.media.arrow import as_bytes
from headrace.stages.ingestion.runs import SortedFile

Heads = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]
Split = npt.NDArray[np.uint8]  # of each row, as a place in `SPLITS`
SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)
# See `headrace.tasks.Labels.strata`.
Strata = Callable[[Counter[str]], Mapping[str, str]]


class KeyTexts(NamedTuple):
    """A column of texts that recur.

    Attributes:
        codes: of each row, the index of its text in ``distinct``, ``(n,)``.
    """

    codes: npt.NDArray[np.int32]
    distinct: list[str]

    def grouped(self, strata: Strata) -> KeyTexts:
        """The classes of labels; see `headrace.tasks.Labels.strata`."""
        counts = np.bincount(self.codes, minlength=len(self.distinct)).tolist()
        classes = strata(Counter(dict(zip(self.distinct, counts, strict=True))))
        codes: dict[str, int] = {}
        names = (classes.get(text, text) for text in self.distinct)
        numbers = [codes.setdefault(name, len(codes)) for name in names]
        return KeyTexts(np.array(numbers, np.int32)[self.codes], list(codes))


@dataclass(frozen=True, slots=True)
class Keys:
    """The rows of all runs, one run after the other.

    Attributes:
        items: the sha256 of each item, ``(n, 32)``.
        labels: the class of each row; None where labels are no classes.
    """

    runs: Sequence[SortedFile]
    items: npt.NDArray[np.uint8]
    groups: KeyTexts
    labels: KeyTexts | None

    def places(self, columns: slice) -> Heads:
        """Eight bytes of each sha256 as a number, ``(n,)``."""
        return self.items[:, columns].copy().view(">u8").ravel().astype(np.uint64)

    def read(self, rows: Numbers) -> pa.Table:
        """The labels and names of some rows, whose numbers ascend, from their files."""
        ends = np.cumsum([0, *(run.rows for run in self.runs)])
        bounds = np.searchsorted(rows, ends)
        return pa.concat_tables(
            run.read().select(["label", "name"]).take(rows[start:end] - first)
            for run, first, start, end in zip(
                self.runs, ends, bounds, bounds[1:], strict=False
            )
            if start < end
        )


def keys_of(
    runs: Sequence[SortedFile], *, by_label: bool, strata: Strata = lambda rows: {}
) -> Keys:
    """The keys of all rows.

    Args:
        by_label: whether labels have classes.
        strata: the classes of labels that are none themselves.
    """
    items, labels, groups = [], [], []
    of_labels: dict[str, int] = {}
    of_groups: dict[str, int] = {}
    for run in runs:
        table = run.read()
        items.append(as_bytes(table["item"].chunk(0)).copy())
        groups.append(_codes(table["group"], of_groups))
        if by_label:
            labels.append(_codes(table["label"], of_labels))
    return Keys(
        runs,
        np.concatenate(items),
        KeyTexts(np.concatenate(groups), list(of_groups)),
        KeyTexts(np.concatenate(labels), list(of_labels)).grouped(strata)
        if by_label
        else None,
    )


def _codes(column: pa.ChunkedArray, codes: dict[str, int]) -> npt.NDArray[np.int32]:
    """The numbers of texts; new ones are added to the known ones."""
    array = column.combine_chunks().dictionary_encode()
    numbers = [codes.setdefault(t, len(codes)) for t in array.dictionary.to_pylist()]
    return np.asarray(np.array(numbers, np.int32)[array.indices.to_numpy()])
