"""Weak slices: rows on which a model is worse, found without being told where.

A slice is one condition on a column of the medium, or on the group. It is found on the
rows of val, and tested on those of test, which makes the p-values true. The idea is of
Y. Chung and others, Slice Finder: automated data slicing for model validation, ICDE
2019; the correction for several slices of S. Holm, A simple sequentially rejective
multiple test procedure, Scandinavian J. of Statistics 6 (1979). Answers that are right
or wrong have the one-sided exact test of R. A. Fisher, numbers and ratios that of
Welch; see `headrace.gates.intervals`.
"""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from headrace.display.signs import as_score
from headrace.gates.intervals import Groups, linear_parts, welch
from headrace.media import comparable, medium
from headrace.media.forms import Columns, Flags, Payload
from headrace.records import DataDescription
from headrace.tasks.forms import Scores
from headrace.tasks.samples import holm

FEWEST = 20  # rows in a slice and outside, of val and of test
MOST = 20  # slices that are tested
# Columns take about 1 ms for a second of sound, and 0.1 ms for a small image.
_MOST_ROWS, _MOST_BYTES, _LEAST_ROWS = 5_000, 2**28, 500
_FEW_VALUES, _MOST_NAMES = 10, 50
_QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
_SAME = 0.8  # of the rows in either of two candidates, the share in both
_SURE = 0.9  # of the bound that candidates are ranked by
_SIGNS = {"=": operator.eq, "<=": operator.le, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Condition:
    """What the rows of a slice have in one column, such as ``mean > 97.2``."""

    column: str
    sign: Literal["=", "<=", ">"]
    value: Any

    def holds(self, columns: Mapping[str, npt.NDArray[Any]]) -> Flags:
        """For which rows of these columns it holds, bool ``(n,)``."""
        return np.asarray(_SIGNS[self.sign](columns[self.column], self.value), bool)

    def __str__(self) -> str:
        if isinstance(self.value, bool):
            return self.column if self.value else f"not {self.column}"
        shown = self.value if isinstance(self.value, str) else f"{self.value:.4g}"
        return f"{self.column} {self.sign} {shown}"


@dataclass(frozen=True, slots=True)
class SliceRows:
    """Rows among which slices are looked for.

    Attributes:
        columns: arrays ``(n,)`` by name.
        scores: ``(n,)``: bool where a row is right or wrong.
        weights: the denominators of the scores, ``(n,)``; None where all are 1.
    """

    columns: Columns
    scores: Scores
    weights: Scores | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def part(self, chosen: Flags) -> SliceRows:
        """Some of these rows."""
        columns = {name: values[chosen] for name, values in self.columns.items()}
        weights = None if self.weights is None else self.weights[chosen]
        return SliceRows(columns, self.scores[chosen], weights)


@dataclass(frozen=True, slots=True)
class WeakSlice:
    """Rows on which a model is worse than on the rest, found on val, shown on test.

    Attributes:
        name: its conditions, such as ``mean > 97.2 and group = theo``.
        rows: of test, in the slice.
        score: of these rows.
        rest: the score of all other rows of test.
        loss: how much worse the slice is than the rest, in the unit of the score.
        p_value: one-sided, after Holm's correction.
        members: which rows of test these are, bool ``(n,)``.
    """

    name: str
    rows: int
    score: float
    rest: float
    loss: float
    p_value: float
    members: Flags

    def in_words(self, score: str) -> str:
        """Its score and that of the rest.

        Args:
            score: the name of the score.
        """
        return (
            f"{score.replace('_', ' ')} is {as_score(self.score)} on the {self.rows:,} "
            f"test rows with {self.name}, and {as_score(self.rest)} on all others (p = "
            f"{self.p_value:.2g})"
        )


def most_rows(data: DataDescription) -> int:
    """How many rows of a split are looked at, so that their columns take seconds."""
    return rows_within(data, _MOST_BYTES, _LEAST_ROWS, _MOST_ROWS)


def rows_within(data: DataDescription, most_bytes: int, least: int, most: int) -> int:
    """How many items take at most so many bytes, from ``least`` to ``most``."""
    size = math.prod(data.shape) * medium(data.medium).DTYPE.itemsize
    return min(most, max(least, most_bytes // size))


def columns_of(items: Payload, groups: Sequence[str], data: DataDescription) -> Columns:
    """The columns that conditions can be on: the medium's own, and the group.

    Args:
        items: ``(n, *shape)``, as in a snapshot.
        groups: of each item, ``(n,)``; empty where it has none.
        data: of the snapshot.

    Returns:
        arrays ``(n,)`` of numbers, flags and texts, each of its item alone.
    """
    module = medium(data.medium)
    columns = module.columns(items, [""] * len(items), data)
    columns |= module.slice_columns(items)
    names = comparable(columns, data)
    names += [name for name, values in columns.items() if values.dtype.kind in "OUS"]
    return {**{n: columns[n] for n in names}, "group": np.array([*groups], object)}


def joined(parts: Sequence[Columns]) -> Columns:
    """The columns of all parts, one after the other."""
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def conditions_of(name: str, values: npt.NDArray[Any]) -> list[Condition]:
    """The conditions that the values of a column suggest.

    They are each value of flags, names and numbers with few values; of other numbers
    the halves, and the lowest and the highest quarter and tenth.

    Args:
        name: of the column.
        values: flags, numbers, or texts such as groups, ``(n,)``.
    """
    if values.dtype.kind in "OUS":
        common = Counter(values.tolist()).most_common(_MOST_NAMES)
        return [Condition(name, "=", value) for value, _ in common if value]
    values = values[np.isfinite(values)]
    different = np.unique(values).tolist()
    if len(different) < 2:
        return []
    if len(different) <= _FEW_VALUES:
        return [Condition(name, "=", value) for value in different]
    edges = np.quantile(values, _QUANTILES, method="inverted_cdf").tolist()
    below = [Condition(name, "<=", edge) for edge in edges[:3]]
    above = [Condition(name, ">", edge) for edge in edges[2:]]
    return list(dict.fromkeys([*below, *above]))  # edges may be equal


def find_slices(rows: SliceRows, *, higher_is_better: bool) -> list[Condition]:
    """The slices that are most surely weak, the surest first.

    They are ranked by a lower bound of their loss against all other rows. Of slices
    that are nearly the same, the surest stays.

    Args:
        rows: of val.
        higher_is_better: of the scores.

    Returns:
        at most `MOST` of them; none with too few rows.
    """
    parts = linear_parts(rows.scores, rows.weights)
    loss = -parts if higher_is_better else parts
    ranked = []
    for name, values in rows.columns.items():
        for one in conditions_of(name, values):
            members = one.holds(rows.columns)
            if FEWEST <= members.sum() <= len(rows) - FEWEST:
                ranked.append((_lower_bound(loss, members), one, members))
    ranked.sort(key=lambda candidate: -candidate[0])
    chosen: list[tuple[Condition, Flags]] = []
    for bound, one, members in ranked:
        if len(chosen) == MOST or not bound > 0:
            break
        if all(overlap(members, earlier) < _SAME for _, earlier in chosen):
            chosen.append((one, members))
    return [one for one, _ in chosen]


def _lower_bound(loss: npt.NDArray[np.float64], members: Flags) -> float:
    """The lower bound of the mean loss of some rows minus that of all others."""
    own, rest, variance = loss[members], loss[~members], loss.var()
    error = math.sqrt(max(own.var(), variance) / len(own) + variance / len(rest))
    return float(own.mean() - rest.mean() - NormalDist().inv_cdf(_SURE) * error)


def overlap(one: Flags, other: Flags) -> float:
    """The share of the rows in either of two slices that are in both."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 0.0


def confirm(
    slices: Sequence[Condition],
    rows: SliceRows,
    level: float,
    *,
    higher_is_better: bool,
) -> list[WeakSlice]:
    """Test slices on other rows than those that they were found on.

    Args:
        slices: from `find_slices`.
        rows: of test, an item once.
        level: the chance that any slice is confirmed where none is weak.
        higher_is_better: of the scores.

    Returns:
        the confirmed ones, the surest first. A slice is left out if it is not weak
        without the rows of surer ones: what shares rows with a weak slice is weak, too.
    """
    sign = 1 if higher_is_better else -1
    tested = [(weak, one) for one in slices if (weak := _tested(one, rows, sign))]
    tested.sort(key=lambda pair: (pair[0].p_value, -pair[0].loss))
    corrected = holm([weak.p_value for weak, _ in tested])
    confirmed: list[WeakSlice] = []
    free = np.ones(len(rows), bool)
    for (weak, condition), p_value in zip(tested, corrected, strict=True):
        alone = _tested(condition, rows.part(free), sign) if p_value <= level else None
        if alone is not None and alone.p_value <= level:
            confirmed.append(replace(weak, p_value=p_value))
            free &= ~weak.members
    return confirmed


def _tested(condition: Condition, rows: SliceRows, sign: int) -> WeakSlice | None:
    """The one-sided test that a slice is worse than the rest; None with few rows."""
    members = condition.holds(rows.columns)
    parts = {"slice": np.flatnonzero(members), "rest": np.flatnonzero(~members)}
    weights = rows.weights
    if min(map(len, parts.values())) < FEWEST:
        return None
    if weights is not None and not all(weights[part].any() for part in parts.values()):
        return None
    groups = Groups.of(rows.scores, parts, weights)
    own, rest = groups.rates.tolist()
    loss, count = sign * (rest - own), len(parts["slice"])
    is_right = groups.variances is None
    p_value = fisher(rows.scores, members) if is_right else _welch_p(groups, loss)
    return WeakSlice(str(condition), count, own, rest, loss, p_value, members)


def fisher(right: Flags, members: Flags) -> float:
    """The one-sided exact p-value that members are right less often than the others.

    Args:
        right, members: bool ``(n,)``.
    """
    from scipy.stats import fisher_exact

    sides = [right[part] for part in (members, ~members)]
    counts = [[int((~side).sum()), int(side.sum())] for side in sides]
    return float(fisher_exact(counts, alternative="greater").pvalue)


def _welch_p(groups: Groups, loss: float) -> float:
    """The one-sided p-value that the first of two groups loses against the other."""
    from scipy.special import stdtr

    if groups.variances is None:
        raise ValueError("shares have Fisher's test")
    error, free = welch(groups.variances, groups.rows)
    return float(stdtr(free[0, 1], -loss / error[0, 1])) if error[0, 1] else 1.0
