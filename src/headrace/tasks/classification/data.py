"""Labels as class indices.

They have one plain form, so that spellings of one class do not become two.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.display.signs import number_of
from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.pipeline import DataSpec
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription, Finding
from headrace.tasks import Labels
from headrace.tasks.forms import Targets, natural_order

# Missing values in other tools; here they are labels like others.
_MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none"}
_SHOWN = 5


class Classes(Labels):
    STRATIFIED = True
    DTYPE = "int32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Labels without outer blanks, in one form of Unicode (NFC).

        The source gets notes on changed labels, and a finding on labels that differ
        only by case.

        Raises:
            SourceError: a label is a number with a fraction.
        """
        labels: Counter[str] = Counter()
        for chunk in chunks:
            if chunk.not_whole:
                raise SourceError(
                    f"{chunk.not_whole}, which is no label.",
                    "Expected whole numbers or text.",
                )
            labels.update(chunk.labels)
            plain = {label: plain_label(label) for label in set(chunk.labels)}
            yield replace(chunk, labels=[plain[label] for label in chunk.labels])
        source.notes += _notes(labels)
        source.findings += _findings(labels)

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The classes, in the order of the outputs."""
        return {"classes": list(data.classes or natural_order(labels))}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether val has all classes of train, and two at least."""
        return len(val) > 1 and set(train) <= set(val)

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        """Class indices; -1 where a label is not a class."""
        index = pc.index_in(labels, pa.array(data.classes, pa.string()))
        return np.asarray(pc.fill_null(index, -1), dtype=np.int32)


def _notes(labels: Counter[str]) -> Iterator[str]:
    if blank := [label for label in labels if label.strip() not in ("", label)]:
        yield (
            f"{_rows(labels, blank)}: the blanks around the label were "
            f"dropped, such as in {blank[0]!r}."
        )
    if formed := [c for c in labels if not unicodedata.is_normalized("NFC", c)]:
        yield (
            f"{_rows(labels, formed)}: the label was brought to Unicode's form "
            f"NFC, such as {plain_label(formed[0])!r}."
        )
    for label in sorted(labels):
        if label.strip().lower() in _MISSING:
            rows = _rows(labels, [label])
            yield f"{rows}: the label {label!r} is taken as text, not as a missing one."


def _rows(labels: Counter[str], some: list[str]) -> str:
    count = sum(labels[label] for label in some)
    return number_of(count, "rows")


def _findings(labels: Counter[str]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = {}
    for label in sorted(set(map(plain_label, labels))):
        alike.setdefault(label.casefold(), []).append(label)
    # Single letters that differ by case are different classes, as in handwriting.
    if pairs := [names for key, names in alike.items() if len(names) > 1 < len(key)]:
        examples = "; ".join(" and ".join(names) for names in pairs[:_SHOWN])
        if len(pairs) > _SHOWN:
            examples += f"; and {len(pairs) - _SHOWN:,} more"
        message = f"classes differ only by case: {examples}. Write them alike if they "
        message += "are one."
        yield Finding(check="label_case", count=len(pairs), message=message)


LABELS = Classes()
