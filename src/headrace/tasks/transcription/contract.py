"""What the contract expects of transcripts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from headrace.media.forms import Expectation, never, within
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Column, Counts
from headrace.tasks.transcription.data import plain, scripts_of


class UsableTranscripts(Contract):
    COLUMNS: Sequence[str] = ("transcript_words", "transcript_length", "foreign_script")

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """Each transcript has words, in a usual script, and they are not all equal.

        A sound that fills the whole shape was cut, and its transcript was not.
        """
        distinct = "expect_column_unique_value_count_to_be_between"
        at_least_two = {"column": "label", "min_value": 2}
        usual = " or ".join(data.scripts)
        empty, foreign = "its transcript is empty", f"its transcript is not in {usual}"
        return [
            within("label", "transcript_words", empty, min_value=1),
            never("foreign_script", foreign, warns=False),
            Expectation("transcripts", distinct, at_least_two, split="train"),
            *_uncut(data),
        ]

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        """Of each transcript: words, characters, whether its script is a rare one.

        Returns:
            ``transcript_words`` and ``transcript_length``, int64; ``foreign_script``,
            bool.
        """
        texts = [plain(text or "") for text in label.tolist()]
        usual = {"", *data.scripts}
        foreign = [script not in usual for script in scripts_of(texts)]
        return {
            "transcript_words": np.array([len(t.split()) for t in texts], np.int64),
            "transcript_length": np.array([len(t) for t in texts], np.int64),
            "foreign_script": np.array(foreign, bool),
        }

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """A split whose transcripts are all equal."""
        if check != "transcripts":
            return ""
        return f"{split} has no two different transcripts: there is nothing to learn"

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The splits without a row."""
        return [
            f"{split} holds no item with a transcript"
            for split in ("train", "test")
            if not counts[split, ""]
        ]


def _uncut(data: DataDescription) -> list[Expectation]:
    if not data.sample_rate_hz:
        return []
    samples, rate = data.shape[0], data.sample_rate_hz
    reason = f"it was cut to data.seconds = {samples / rate:g}, and its transcript was "
    reason += "not: raise that, or cut it at a pause"
    most = (samples - 0.5) / rate
    return [within("cut_short", "seconds", reason, max_value=most)]


CONTRACT = UsableTranscripts()
