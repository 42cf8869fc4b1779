"""Whether the test split of a data set differs from train, by the medium's columns.

Large data sets differ significantly by trifles, so an effect of a certain size is
required as well. Rows of one group, such as a speaker's, are alike, so that each group
counts once: two splits of a few speakers each cannot be told to differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Columns
from headrace.records import Record
from headrace.tasks.samples import Result, holm, same_distribution

ALPHA = 0.001
# Natural splits differ by less than 0.1; images 20 % darker by 0.2 and more.
LEAST_EFFECT = 0.15
MOST_ROWS = 10_000
FEWEST_ROWS = 20


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
    *,
    alpha: float = ALPHA,
    least_effect: float = LEAST_EFFECT,
) -> list[Difference]:
    """The columns whose distribution differs, the largest effect first.

    Args:
        train, test: columns of random rows of each, by name, numbers or flags; see
            `windows.comparable`. At most `MOST_ROWS` of each are used.
        groups: of the rows of both, where there are groups.
        alpha: the chance that any column of equal splits is reported.
        least_effect: that is reported.
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
        if adjusted[column] < alpha and result.effect >= least_effect
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
