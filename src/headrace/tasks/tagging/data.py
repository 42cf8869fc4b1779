"""Labels as lists of tags, which a snapshot holds as JSON."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.media.chunks import Chunk, Source
from headrace.media.forms import Expectation
from headrace.pipeline import DataSpec
from headrace.pipeline.data import plain_label
from headrace.records import DataDescription
from headrace.tasks import Contract, Labels
from headrace.tasks.forms import Column, Counts, Targets, natural_order, some

SEPARATORS = "|;,"
_NOT_A_NUMBER = {"Infinity": "inf", "-Infinity": "-inf"}  # NaN is an empty cell
_SHOWN = 10


def tags_of(label: str, separator: str | None = None) -> list[str]:
    """The tags of a label, each once and sorted; an empty one among them is kept.

    Args:
        label: a list in JSON, or text.
        separator: what parts a text into tags; None: it is one tag.
    """
    texts = [label]
    if label.startswith("["):
        with contextlib.suppress(ValueError, RecursionError):
            parts = json.loads(label, parse_int=str, parse_constant=_NOT_A_NUMBER.get)
            listed = ["" if part is None else str(part) for part in parts]
            "".join(listed).encode()  # half a character cannot be stored
            if not any(isinstance(part, list | dict) for part in parts):
                texts = listed
    if separator:
        texts = [tag for text in texts for tag in text.split(separator)]
    return sorted(set(map(plain_label, texts))) if label.strip() else []


def as_label(tags: Iterable[str]) -> str:
    """Tags as a snapshot has them."""
    return json.dumps(list(tags), ensure_ascii=False)


def matrix(labels: Iterable[str], data: DataDescription) -> Targets:
    """Which tags each label has ``(n, tags)``; NaN where one of them is unknown."""
    place = {tag: number for number, tag in enumerate(data.tags)}
    separator = data.target.get("separator")
    rows: dict[str, Targets] = {}
    every = list(labels)
    for label in set(every):
        tags, row = tags_of(label, separator), np.zeros(len(place), np.float32)
        row[[place[tag] for tag in tags if tag in place]] = 1
        rows[label] = row if place.keys() >= set(tags) else row * np.nan
    return np.array([rows[label] for label in every]).reshape(-1, len(place))


def rows_of_tags(split: str, counts: Counts) -> Counter[str]:
    """The rows of each tag in a split."""
    rows: Counter[str] = Counter()
    for (of, label), number in counts.items():
        if of == split:
            rows.update(dict.fromkeys(tags_of(label), number))
    return rows


class TagLists(Labels):
    STRATIFIED = True
    DTYPE = "float32"

    def read(self, chunks: Iterator[Chunk], source: Source) -> Iterator[Chunk]:
        """Labels as lists in JSON; an empty text is a label only if texts are parted.

        The source gets a note on what parts them. Where no labels are needed, they
        stay as they are.
        """
        if not source.reading.labelled:
            yield from chunks
            return
        if separator := source.reading.label_separator:
            source.notes.append(f"tags are parted by {separator!r}")
        for chunk in chunks:
            plain = {
                label: as_label(tags_of(label, separator))
                for label in set(chunk.labels)
                if label.strip() or separator
            }
            yield replace(chunk, labels=[plain.get(x, x) for x in chunk.labels])

    def suggest(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """What most labels have between tags, unless they are lists already."""
        lists = [tags_of(label) for label in labels]
        texts = [tag for tags in lists for tag in tags]
        counts = {mark: sum(mark in text for text in texts) for mark in SEPARATORS}
        best = max(SEPARATORS, key=counts.__getitem__)
        are_lists = any(len(tags) > 1 for tags in lists)
        return {} if are_lists or not counts[best] else {"label_separator": best}

    def strata(self, rows: Counter[str]) -> Mapping[str, str]:
        """The rarest tag of each label, so that rare tags get their shares."""
        tags: Counter[str] = Counter()
        for label, number in rows.items():
            tags.update(dict.fromkeys(tags_of(label), number))
        rarest = {
            label: min(own, key=lambda tag: (tags[tag], tag))
            for label in rows
            if len(own := tags_of(label)) > 1
        }
        return {label: as_label([tag]) for label, tag in rarest.items()}

    def sketch(self, labels: Collection[str]) -> frozenset[str]:
        """Their tags, each as a label of its own."""
        lists = map(tags_of, set(labels))
        return frozenset(as_label([tag] if tag else []) for t in lists for tag in t)

    def describe(self, labels: Iterable[str], data: DataSpec) -> dict[str, Any]:
        """The tags in the order of the outputs, and what parts them in texts."""
        tags = {tag for label in set(labels) for tag in tags_of(label)} - {""}
        separator = {"separator": data.label_separator} if data.label_separator else {}
        return {"tags": list(data.classes or natural_order(tags)), **separator}

    def covers(self, train: Collection[str], val: Collection[str]) -> bool:
        """Whether val has all tags of train, and two at least."""
        of_train, of_val = map(self.sketch, (train, val))
        return len(of_val) > 1 and of_train <= of_val

    def encode(self, labels: pa.ChunkedArray, data: DataDescription) -> Targets:
        return matrix(labels.to_pylist(), data)

    def target_shape(self, data: DataDescription) -> tuple[int, ...]:
        """One number for each tag."""
        return (len(data.tags),)


class KnownTags(Contract):
    COLUMNS: Sequence[str] = ("unknown_tags", "rows_of_rarest_tag")

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Each tag is known, and train and test have rows of each."""
        among = {"column": "unknown_tags", "value_set": [""]}
        some_rows = {"column": "rows_of_rarest_tag", "min_value": 1}
        in_set = "expect_column_values_to_be_in_set"
        least = "expect_column_min_to_be_between"
        reason = "a tag of it is empty, or none of data.classes"
        return [
            Expectation("label", in_set, among, reason),
            Expectation("tags", least, some_rows, split="train"),
            Expectation("tags", least, some_rows, split="test"),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """The unknown tags of each row, and the rows of its split's rarest tag."""
        tags = {name: tags_of(name) for name in set(label.tolist())}
        unknown = {
            name: ", ".join(repr(tag) for tag in own if tag not in data.tags)
            for name, own in tags.items()
        }
        rarest = {
            name: min(rows_of_tags(name, counts)[tag] for tag in data.tags)
            for name in set(split.tolist())
        }
        return {
            "unknown_tags": np.array([unknown[name] for name in label], object),
            "rows_of_rarest_tag": np.array([rarest[name] for name in split], np.int64),
        }

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """The tags that a split lacks."""
        rows = rows_of_tags(split, counts)
        missing = [repr(tag) for tag in data.tags if not rows[tag]]
        if check != "tags" or not missing:
            return ""
        return (
            f"{split} holds no item with {some(missing, _SHOWN)}; a tag needs at least "
            "2 different items, one in train and one in test"
        )

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The tags that train or test lacks."""
        each = (self.problem("tags", s, counts, data) for s in ("train", "test"))
        return [problem for problem in each if problem]


LABELS = TagLists()
CONTRACT = KnownTags()
