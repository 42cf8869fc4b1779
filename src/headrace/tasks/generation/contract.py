"""What the contract expects of documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.media.forms import Expectation
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Column, Counts


class WholeDocuments(Contract):
    COLUMNS: Sequence[str] = ()
    SHARED = True

    def expectations(self, data: DataDescription) -> list[Expectation]:
        return []

    def columns(
        self, split: Column, label: Column, counts: Counts, data: DataDescription
    ) -> dict[str, Any]:
        return {}

    def problem(
        self, check: str, split: str, counts: Counts, data: DataDescription
    ) -> str:
        """None of its own."""
        return ""

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The splits without a document."""
        return [
            f"{split} holds no document"
            for split in ("train", "test")
            if not counts[split, ""]
        ]


CONTRACT = WholeDocuments()
