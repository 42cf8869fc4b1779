"""What the user should know of the data as it came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from headrace.records import Finding
from headrace.stages.ingestion.runs import Run
from headrace.stages.ingestion.splitting import Splits


def notes_of(notes: Mapping[str, int], items: int) -> list[str]:
    """What was done to the items to bring them to one form, as sentences."""
    return [
        f"{count:,} of {items:,} items: {note}" for note, count in sorted(notes.items())
    ]


def split_notes(runs: Sequence[Run], splits: Splits) -> list[str]:
    """How the source's own splits are used, where that is not as they are named."""
    rows = sum(run.rows for run in runs if run.split == "val")
    named = {run.split for run in runs}
    if named != {"train", "val"} or splits.test_groups is not None:
        return []
    if splits.test_fraction is not None:
        return [
            f"{rows:,} validation rows lack classes of train: train, val and test are "
            "drawn anew from all rows."
        ]
    return [
        f"{rows:,} validation rows are the test split, as no test split is named; val "
        "is taken from train."
    ]


def findings_of(splits: Splits, scales: Mapping[tuple[str, str], str]) -> list[Finding]:
    """What looks odd in how the source is split and scaled.

    Args:
        splits: how it is split.
        scales: of each array, by its split and name.
    """
    findings = []
    if splits.test > splits.train > 0:
        findings.append(
            Finding(
                check="swapped_splits",
                split="test",
                count=splits.test,
                message=f"The source has {splits.test:,} test items and only "
                f"{splits.train:,} train items: perhaps the two are swapped.",
            )
        )
    if len(set(scales.values())) > 1:
        by_split = defaultdict(set)
        for (split, _), scale in scales.items():
            by_split[split].add(scale)
        seen = ", ".join(
            f"{split or 'the source'} {' and '.join(sorted(scale))}"
            for split, scale in sorted(by_split.items())
        )
        findings.append(
            Finding(
                check="scale",
                message=f"The splits come in different scales: {seen}. Each was "
                "brought to 0..255 by its own.",
            )
        )
    return findings
