"""What the contract expects of documents."""

from __future__ import annotations

from headrace.media.text.near import passages
from headrace.records import DataDescription
from headrace.tasks import Contract
from headrace.tasks.forms import Counts


class WholeDocuments(Contract):
    PASSAGES = staticmethod(passages)

    def lacking(self, counts: Counts, data: DataDescription) -> list[str]:
        """The splits without a document."""
        return [
            f"{split} holds no document"
            for split in ("train", "test")
            if not counts[split, ""]
        ]


CONTRACT = WholeDocuments()
