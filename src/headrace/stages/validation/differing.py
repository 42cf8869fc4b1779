"""Whether test differs from train: a sample of both for `headrace.drift.splits`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from headrace.drift.splits import MOST_ROWS, Difference, differences
from headrace.drift.windows import comparable
from headrace.media.forms import Columns
from headrace.stages.validation.tables import ItemTable

if TYPE_CHECKING:
    import pandas as pd


def differing_columns(items: ItemTable) -> list[Difference]:
    """The medium's columns that differ between train and test, of a random sample."""
    parts: list[pd.DataFrame] = []
    counts: Counter[str] = Counter()
    for place in range(len(items.bounds) - 1):
        parts.append(items.shard(place, ["split", "group", *items.measured]))
        counts.update(parts[-1]["split"].tolist())
        if min(counts["train"], counts["test"]) >= MOST_ROWS:
            break
    train, test = (_rows_of(parts, split) for split in ("train", "test"))
    names = comparable(train, items.data)
    return differences(
        {name: train[name] for name in names},
        {name: test[name] for name in names},
        (train["group"].tolist(), test["group"].tolist()),
    )


def _rows_of(parts: Sequence[pd.DataFrame], split: str) -> Columns:
    """The first `MOST_ROWS` rows of a split."""
    import pandas as pd

    frame = pd.concat([part[part["split"] == split] for part in parts])
    frame = frame.head(MOST_ROWS)
    return {str(name): frame[name].to_numpy() for name in frame.columns}
