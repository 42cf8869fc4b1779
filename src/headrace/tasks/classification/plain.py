"""Labels in plain form, whatever the source: one class is not written in two ways."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from headrace.errors import SourceError
from headrace.media.chunks import Chunk, Source
from headrace.records import Finding
from headrace.spec import plain_label

# What stands for a missing value elsewhere; here it is a label like others.
_MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "null", "none"}
_SHOWN = 5


def with_plain_labels(chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
    """Chunks whose labels have no outer blanks and one form of Unicode (NFC).

    Args:
        chunks: of the source.
        source: gets notes of what was changed, and a finding for labels that differ
            only by case, when all chunks were read.

    Raises:
        SourceError: a label is a number and no whole one.
    """
    labels: Counter[str] = Counter()
    for chunk in chunks:
        if chunk.not_whole:
            raise SourceError(
                f"{chunk.not_whole}, which is no label.",
                "Expected whole numbers or text.",
            )
        own = Counter(chunk.labels)
        labels.update(own)
        plain = {label: plain_label(label) for label in own}
        yield replace(chunk, labels=[plain[label] for label in chunk.labels])
    source.notes.extend(_notes(labels))
    source.findings.extend(_findings(labels))


def _notes(labels: Counter[str]) -> Iterator[str]:
    blank = [label for label in labels if label.strip() not in ("", label)]
    if blank:
        yield (
            f"{_rows(labels, blank)}: the blanks around the label were "
            f"dropped, such as in {blank[0]!r}."
        )
    formed = [label for label in labels if not unicodedata.is_normalized("NFC", label)]
    if formed:
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
    return "1 row" if count == 1 else f"{count:,} rows"


def _findings(labels: Counter[str]) -> Iterator[Finding]:
    alike: dict[str, list[str]] = {}
    for label in sorted(set(map(plain_label, labels))):
        alike.setdefault(label.casefold(), []).append(label)
    # Single letters that differ by case are classes of their own, as in handwriting.
    pairs = [names for key, names in alike.items() if len(names) > 1 < len(key)]
    if pairs:
        told = "; ".join(" and ".join(names) for names in pairs[:_SHOWN])
        more = len(pairs) - _SHOWN
        told += f"; and {more:,} more" * (more > 0)
        yield Finding(
            check="label_case",
            count=len(pairs),
            message=f"classes differ only by case: {told}. Write them alike if they "
            "are one.",
        )


def natural_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Labels sorted as people do: 9 before 10."""
    labels = set(labels)
    if all(re.fullmatch(r"-?\d+", label, re.ASCII) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    parts = {label: re.split(r"(\d+)", label) for label in labels}
    numbered = {
        label: [int(p) if p.isdecimal() else p for p in split]
        for label, split in parts.items()
    }
    return tuple(sorted(labels, key=lambda label: (numbered[label], label)))
