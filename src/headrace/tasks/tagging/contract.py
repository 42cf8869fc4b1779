"""What the contract expects of tags."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Column, Counts, some
from headrace.tasks.tagging.data import rows_of_tags, tags_of

_SHOWN = 10


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


CONTRACT = KnownTags()
