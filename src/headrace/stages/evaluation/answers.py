"""The answers of a model and of its opponents to the test rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.rows import rows_at
from headrace.gates.champion import Scored
from headrace.media.forms import Columns
from headrace.models.logged import loading
from headrace.stages.evaluation.slices import columns_of, joined, most_rows
from headrace.tasks import Judge, Judged, asked
from headrace.tasks.forms import Context, Outputs, Split, Targets


class Worst(NamedTuple):
    """Bad answers, the worst first.

    Attributes:
        items: ``(k, *shape)``, of the medium's type.
        targets, outputs: ``(k, ...)``.
        badness: float ``(k,)``.
    """

    items: npt.NDArray[Any]
    targets: Targets
    outputs: Outputs
    badness: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class AnsweredSplit:
    """One pass over the rows of a split.

    Attributes:
        judged: the answers and their scores, of all rows.
        others: the scores of each opponent, by version.
        groups: of the rows, ``(n,)``; empty where they have none.
        worst: the bad answers that are shown.
        columns: of the first `most_rows` rows, from `columns_of`.
    """

    judged: Judged
    others: Mapping[int, Scored]
    groups: list[str]
    worst: Worst
    columns: Columns = field(default_factory=dict)


def ask(
    context: Context, rows: Split, others: Mapping[int, Any], worst: int, judge: Judge
) -> AnsweredSplit:
    """Let the models answer all rows, a shard at a time.

    Args:
        context: the model and its data.
        rows: of a split that has some.
        others: the opponents, by version.
        worst: the number of bad answers to return.
        judge: of the answers.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    data = context.data
    questions = asked(data)
    columns: list[Columns] = []
    targets: list[Targets] = []
    outputs: list[Outputs] = []
    groups: list[str] = []
    scores: dict[int, list[Scored]] = {version: [] for version in others}
    worst_so_far: Worst | None = None
    for part in rows:
        if (left := most_rows(data) - len(groups)) > 0:
            columns.append(columns_of(part.items[:left], part.groups[:left], data))
        raw = questions.raw(part.questions)
        targets.append(part.targets)
        outputs.append(loading.answers(context.model, raw))
        groups += part.groups
        own = judge.judged(outputs[-1], part.targets, data)
        worst_so_far = _worst(worst_so_far, part.items, own, worst)
        for version, other in others.items():
            given = judge.judged(loading.answers(other, raw), part.targets, data)
            scores[version].append(Scored.of(given))
    if worst_so_far is None:
        raise ValueError("a split without rows has no answers")
    of_others = {version: Scored.join(parts) for version, parts in scores.items()}
    judged = judge.judged(np.concatenate(outputs), np.concatenate(targets), data)
    return AnsweredSplit(judged, of_others, groups, worst_so_far, joined(columns))


def _worst(
    before: Worst | None, items: npt.NDArray[Any], part: Judged, count: int
) -> Worst:
    """The ``count`` worst of the answers before and of a part's answers."""
    badness = part.badness
    bad = np.flatnonzero(~(badness <= 0))  # NaN is bad
    bad = bad[_first(badness[bad], count)]
    own = Worst(items[bad], part.targets[bad], part.outputs[bad], badness[bad])
    if before is None:
        return own
    both = [np.concatenate(pair) for pair in zip(before, own, strict=True)]
    first = _first(both[-1], count)
    return Worst(*(values[first] for values in both))


def _first(badness: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    worst_first = -np.nan_to_num(badness, nan=np.inf)
    return np.argsort(worst_first, kind="stable")[:count]


def items_at(rows: Split, places: Sequence[int]) -> list[npt.NDArray[Any]]:
    """The stored items of some rows of a split, by their numbers in it.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    items: dict[int, npt.NDArray[Any]] = {}
    for own, part in rows_at(rows, places):
        items |= zip(own.tolist(), part.items, strict=True)
    return [items[place] for place in places]
