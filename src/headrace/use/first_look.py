"""What `headrace new` shows of new data: its first rows, what is unusable, and why."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from headrace.media import medium as medium_named
from headrace.media.chunks import Chunk, split_named
from headrace.pipeline.checks import shorten
from headrace.records import Finding
from headrace.tasks.forms import natural_order

POSSIBLE_GROUPS = "possible_groups"
_ROWS = 2
_EXAMPLES = 2
_SHOWN = ["name", "reason"]
# Of files whose names may begin with a speaker or a source.
_LEAST_SHARE = 0.9
_LEAST_FILES = 3
_MOST_PREFIXES = 100_000
# Words for a kind of file, each of a large share, as in foto_1.png and bild_1.png.
_FEW, _LARGE_SHARE = 3, 0.25
_NUMBERED = re.compile(r"([^\W\d]+)\d+")
_BETWEEN = re.compile(r"[-_ .]+")


class FirstRow(NamedTuple):
    """A row as it was read; texts are cut short."""

    name: str
    text: str
    label: str

    def __str__(self) -> str:
        """In a line."""
        label = f" → {self.label!r}" if self.label else ""
        return f"{self.name}: {self.text!r}{label}" if self.text else self.name + label


def first_rows(chunk: Chunk, medium: str) -> list[FirstRow]:
    """The first two rows of a source; their texts are empty where items are files.

    Args:
        chunk: its first one.
        medium: of the items.
    """
    items, texts = chunk.items[:_ROWS], [""] * _ROWS
    if medium_named(medium).IS_TEXT and isinstance(items, list):
        texts = [shorten(item.decode(errors="replace")) for item in items]
    rows = zip(chunk.names[:_ROWS], texts, chunk.labels, strict=False)
    return [FirstRow(*row) for row in rows]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Rows that fail one check; of two examples the ``name`` and the ``reason``."""

    check: str
    count: int
    examples: list[dict[str, str]]

    def __str__(self) -> str:
        """In a line."""
        shown = "; ".join(f"{one['name']}: {one['reason']}" for one in self.examples)
        return f"{self.check}: {self.count:,}, such as {shown}"


def unusable_of(rejected: pa.Table) -> list[Unusable]:
    """The rows that cannot be used, by check, the most frequent first.

    Args:
        rejected: rows of a snapshot, as `read_rejected` gives them.
    """
    kinds = []
    for check, count in Counter(rejected["check"].to_pylist()).most_common():
        rows = rejected.filter(pc.equal(rejected["check"], check))
        by_name = {row["name"]: row for row in rows.select(_SHOWN).to_pylist()}
        names = natural_order(by_name)[:_EXAMPLES]
        kinds.append(Unusable(check, count, [by_name[name] for name in names]))
    return kinds


class Prefixes:
    """What the names of files begin with, which may be speakers or sources.

    Args:
        medium: of the files.
    """

    def __init__(self, medium: str) -> None:
        self._suffixes = medium_named(medium).SUFFIXES
        self._labels: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._rows = 0
        self._all_labels: set[str] = set()

    def add(self, name: str, label: str) -> None:
        """Count a row; a part of its name that is its label is none of a prefix."""
        self._rows += 1
        parts = _BETWEEN.split(PureWindowsPath(name).name.lower())
        is_file = name.lower().endswith(self._suffixes)
        if is_file and len(self._labels) < _MOST_PREFIXES:
            first = next((part for part in parts if part != label.lower()), "")
            has_letter = any(map(str.isalpha, first))
            if len(parts) > 2 and has_letter and not split_named(first):
                self._labels[first][label] += 1
                self._all_labels.add(label)

    def finding(self) -> Iterator[Finding]:
        """One, if nearly all files have a prefix that recurs beside several labels."""
        counts = Counter({own: of.total() for own, of in self._labels.items()})
        recurring = [own for own, count in counts.items() if count >= _LEAST_FILES]
        files = sum(counts[own] for own in recurring)
        if len(recurring) < 2 or files < _LEAST_SHARE * self._rows:
            return
        mixed = sum(len(self._labels[own]) > 1 for own in recurring)
        if len(self._all_labels) > 1 and 2 * mixed < len(recurring):
            return
        fewest = min(counts[own] for own in recurring)
        are_kinds = len(recurring) <= _FEW and fewest >= _LARGE_SHARE * self._rows
        if are_kinds or self._are_running_numbers(recurring):
            return
        most = sorted(recurring, key=lambda own: (-counts[own], own))[:_EXAMPLES]
        shown = " and ".join(f"{own} ({counts[own]:,} files)" for own in most)
        message = (
            f"Names of files begin with what may be {len(recurring):,} speakers or "
            f"sources, such as {shown}. If they are, a test with some of each is too "
            "easy: list the files in a table with a column for it, and give --group."
        )
        yield Finding(check=POSSIBLE_GROUPS, count=len(recurring), message=message)

    def _are_running_numbers(self, prefixes: Sequence[str]) -> bool:
        """Whether they count the files of each class, such as t1_cat and t1_dog."""
        numbered = [_NUMBERED.fullmatch(own) for own in prefixes]
        if len({found and found[1] for found in numbered}) > 1 or not numbered[0]:
            return False
        labels = [self._labels[own] for own in prefixes]
        full = sum(len(own) == len(self._all_labels) for own in labels)
        return 2 * full >= len(prefixes) and all(max(x.values()) == 1 for x in labels)
