"""Notes and findings on the source's splits and scales."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from headrace.records import Finding
from headrace.stages.ingestion.runs import Run
from headrace.stages.ingestion.splitting import Splits


def split_notes(runs: Sequence[Run], splits: Splits) -> list[str]:
    """How the source's own splits are used, where that differs from their names."""
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
    """Findings on splits that look swapped, and on splits in different scales.

    Args:
        splits: how the source is split.
        scales: of each array, by its split and name.
    """
    findings = []
    test, train = splits.test, splits.train
    if test > train > 0:
        message = f"The source has {test:,} test items and only {train:,} train items: "
        message += "perhaps the two are swapped."
        findings.append(
            Finding(check="swapped_splits", split="test", count=test, message=message)
        )
    if len(set(scales.values())) > 1:
        by_split = defaultdict(set)
        for (split, _), scale in scales.items():
            by_split[split].add(scale)
        texts = ", ".join(
            f"{split or 'the source'} {' and '.join(sorted(scale))}"
            for split, scale in sorted(by_split.items())
        )
        message = f"The splits come in different scales: {texts}. Each was brought to "
        findings.append(Finding(check="scale", message=f"{message}0..255 by its own."))
    return findings
