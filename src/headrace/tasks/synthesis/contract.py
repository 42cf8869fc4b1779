"""What the contract expects of texts: takes of each in train and in test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Column, Counts, some

FEW_TAKES = 8  # of a text, of all speakers; an average of fewer is a copy
_SHOWN = 10


def _missing(split: str, counts: Counts, texts: Sequence[str]) -> str:
    """A message on the texts without a row in a split; empty where there are none."""
    missing = [repr(text) for text in texts if not counts[split, text]]
    if not missing:
        return ""
    return (
        f"{split} has no recording of {some(missing, _SHOWN)}; a text needs at least 2 "
        "different recordings, one in train and one in test"
    )


class KnownTexts(Contract):
    COLUMNS: Sequence[str] = ("takes",)

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Texts are not empty, and train and test have rows of each."""
        among = {"column": "label", "value_set": list(data.texts)}
        enough = {"column": "takes", "min_value": FEW_TAKES}
        not_null = "expect_column_values_to_not_be_null"
        contains = "expect_column_distinct_values_to_contain_set"
        least = "expect_column_min_to_be_between"
        return [
            Expectation("label", not_null, {"column": "label"}, "it has no text"),
            Expectation("texts", contains, among, split="train"),
            Expectation("texts", contains, among, split="test"),
            Expectation("takes", least, enough, split="train", warns=True),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """``takes``: the number of recordings of a row's text in its split."""
        pairs = zip(split.tolist(), label.tolist(), strict=True)
        return {"takes": np.array([counts[pair] for pair in pairs], np.float64)}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """The texts that a split lacks."""
        return _missing(split, counts, data.texts) if check == "texts" else ""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The texts that train or test lacks."""
        problems = (_missing(s, counts, data.texts) for s in ("train", "test"))
        return [problem for problem in problems if problem]

    def warning(
        self, check: str, counts: Counts, data: DataDescription
    ) -> tuple[int, str] | None:
        """The texts with few recordings in train."""
        if check != "takes":
            return None
        takes = {text: counts["train", text] for text in data.texts}
        few = [f"{text!r} has {n:,}" for text, n in takes.items() if n < FEW_TAKES]
        message = (
            f"a voice needs {FEW_TAKES} recordings of each text in train, and "
            f"{some(few, _SHOWN)}"
        )
        return len(few), message


CONTRACT = KnownTexts()
