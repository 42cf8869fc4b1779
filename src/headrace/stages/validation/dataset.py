"""Checks of the data set as a whole: near copies across splits, and differences.

A failure is a finding, and refuses nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from headrace.media import comparable, medium
from headrace.media.forms import Columns
from headrace.pipeline import PipelineSpec
from headrace.records import Finding, Record, SnapshotRecord
from headrace.stages.validation.checks import Check, CheckResult, measured
from headrace.stages.validation.near import NearCopies, comparison, near_copies
from headrace.stages.validation.tables import ItemTable
from headrace.tasks.samples import Result, holm, same_distribution

if TYPE_CHECKING:
    import pandas as pd

EXAMPLES = 3
DIFFERS = "test_differs"
EXPLAINS = "scale"  # says why test differs from train
ALPHA = 0.001  # the chance that any column of equal splits is reported
# Natural splits differ by less than 0.1; images 20 % darker by 0.2 and more.
LEAST_EFFECT = 0.15
MOST_ROWS = 10_000
FEWEST_ROWS = 20


def examine(
    spec: PipelineSpec, snapshot: SnapshotRecord, items: ItemTable
) -> tuple[list[CheckResult], NearCopies]:
    """Find near copies across the splits, and columns that differ between them.

    Returns:
        the results of their checks, and the near copies.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    module = medium(snapshot.description.medium)
    near = _near(snapshot, items)
    differing = differing_columns(items)
    limit = max(spec.data.leak_limit, module.NEAR_LIMIT)
    bounds = {"column": "near_copies", "min_value": 0, "max_value": limit}
    between = "expect_column_values_to_be_between"
    none = {"column": "differing_columns", "min_value": 0, "max_value": 0}
    reason = "; ".join(map(Difference.in_words, differing[:EXAMPLES]))
    near_leak = Check("near_leak", between, bounds, warns=True)
    differs = Check(DIFFERS, between, none, reason, warns=True)
    return [measured(near_leak, near.share), measured(differs, len(differing))], near


def _near(snapshot: SnapshotRecord, items: ItemTable) -> NearCopies:
    """Near copies without equal items, which the check ``leak`` finds."""
    frame = items.read(["fingerprint", "split", "in_train"])
    splits = frame["split"].to_numpy(object).copy()
    splits[frame["in_train"].to_numpy() == 1] = ""
    alike, most = comparison(snapshot)
    return near_copies(frame["fingerprint"].to_numpy(np.uint64), splits, alike, most)


def findings(
    near: NearCopies,
    outcomes: Sequence[CheckResult],
    items: ItemTable,
    others: Sequence[CheckResult] = (),
) -> Iterator[Finding]:
    """The failed checks of the data set as a whole.

    Args:
        near: the near copies.
        outcomes: of these checks.
        items: of the data set.
        others: outcomes of the checks of the items.
    """
    failed = {
        outcome.check.name for outcome in (*outcomes, *others) if not outcome.passed
    }
    for outcome in outcomes:
        if outcome.passed or (outcome.check.name == DIFFERS and EXPLAINS in failed):
            continue
        name, message, count = outcome.check.name, outcome.check.reason, 1
        if name == "near_leak":
            message, count = _near_leak(near, items), len(near.test)
        if name == DIFFERS:
            message = f"the test split differs from train: {message}"
        yield Finding(check=name, split="test", count=count, message=message)


def _near_leak(near: NearCopies, items: ItemTable) -> str:
    test, train = near.test[:EXAMPLES], near.train[:EXAMPLES]
    names = items.pick(np.unique([*test, *train]), ["name"])["name"]
    both = zip(test, train, strict=True)
    pairs = ", ".join(f"{names[a]} of {names[b]}" for a, b in both)
    least = "" if near.complete else "at least "
    return (
        f"{least}{len(near.test):,} of {near.tested:,} test items ({near.share:.1%}) "
        f"are near copies of items in train, such as {pairs}: the accuracy promises "
        "too much"
    )


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


class Difference(Record):
    """A column that differs between train and test.

    Attributes:
        column: of the medium.
        effect: 0..1, the largest difference of the distribution functions, or of the
            shares of a flag.
        p_value: after Holm's correction for all columns.
        train, test: medians, or the shares of a flag.
    """

    column: str
    effect: float
    p_value: float
    train: float
    test: float

    def in_words(self) -> str:
        """The column and both medians."""
        return f"{self.column} {self.train:.4g} in train and {self.test:.4g} in test"


def differences(
    train: Columns,
    test: Columns,
    groups: tuple[Sequence[str], Sequence[str]] | None = None,
) -> list[Difference]:
    """The columns whose distribution differs, the largest effect first.

    Args:
        train, test: columns of random rows of each, by name, numbers or flags; see
            `windows.comparable`. At most `MOST_ROWS` of each are used.
        groups: of the rows of both, where there are groups.
    """
    results: dict[str, Result] = {}
    middles: dict[str, tuple[float, float]] = {}
    names = groups or ((), ())
    for column in train.keys() & test.keys():
        of_both = [
            _one_each(values[:MOST_ROWS], own[:MOST_ROWS])
            for values, own in zip((train[column], test[column]), names, strict=True)
        ]
        if min(map(len, of_both)) < FEWEST_ROWS:
            continue
        if (result := same_distribution(*of_both)) is not None:
            results[column] = result
            middles[column] = tuple(map(_middle, of_both))  # type: ignore[assignment]
    adjusted = dict(
        zip(results, holm([r.p_value for r in results.values()]), strict=True)
    )
    different = [
        Difference(
            column=column,
            effect=result.effect,
            p_value=adjusted[column],
            train=middles[column][0],
            test=middles[column][1],
        )
        for column, result in results.items()
        if adjusted[column] < ALPHA and result.effect >= LEAST_EFFECT
    ]
    return sorted(different, key=lambda one: (-one.effect, one.column))


def _one_each(values: npt.NDArray[Any], groups: Sequence[str]) -> npt.NDArray[Any]:
    """The mean of each group; the values themselves where there are no groups."""
    if not any(groups):
        return values
    _, places = np.unique(np.asarray(groups, str), return_inverse=True)
    return np.asarray(np.bincount(places, values.astype(float)) / np.bincount(places))


def _middle(values: npt.NDArray[Any]) -> float:
    return float(values.mean() if values.dtype == bool else np.median(values))
