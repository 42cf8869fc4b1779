"""The answers of a model and of its opponents to the test rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots import Rows, SplitRows
from headrace.media import medium
from headrace.models.logged import loading
from headrace.tasks import Judge, task
from headrace.tasks.forms import Judged, Outputs, Scores, Targets


@dataclass(frozen=True, slots=True)
class Worst:
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
class Answers:
    """One pass over the rows of the test split.

    Attributes:
        targets, outputs: ``(n, ...)``.
        scores: of the rows, ``(n,)``.
        others: the scores ``(n,)`` of each opponent, by version.
        groups: of the rows, ``(n,)``; empty where they have none.
        worst: the bad answers that are shown.
    """

    targets: Targets
    outputs: Outputs
    scores: Scores
    others: Mapping[int, Scores]
    groups: list[str]
    worst: Worst


def ask(model: Any, others: Mapping[int, Any], rows: SplitRows, worst: int) -> Answers:
    """Let the models answer all rows, a shard at a time.

    Args:
        model: a Keras model from raw items to answers.
        others: the opponents, by version.
        rows: of the test split.
        worst: the number of bad answers to return.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    judge = task(rows.snapshot.description.task).judge
    module = medium(rows.snapshot.description.medium)
    parts: list[tuple[Rows, Outputs]] = []
    scores: dict[int, list[Scores]] = {version: [] for version in others}
    worst_so_far: Worst | None = None
    for shard in np.flatnonzero(rows.counts).tolist():
        part = rows.read(shard)
        raw = module.raw(part.items)
        outputs = loading.answers(model, raw)
        worst_so_far = _worst(worst_so_far, part, outputs, worst, judge)
        for version, other in others.items():
            scores[version].append(scores_of(other, raw, part.targets, judge))
        nothing = np.empty((0, *part.items.shape[1:]), part.items.dtype)
        parts.append((Rows(nothing, part.targets, part.names, part.groups), outputs))
    if worst_so_far is None:
        raise ValueError("an evaluation needs test rows")  # the contract checks it
    targets = np.concatenate([part.targets for part, _ in parts])
    outputs = np.concatenate([outputs for _, outputs in parts])
    return Answers(
        targets,
        outputs,
        judge.scores(outputs, targets),
        {version: np.concatenate(own) for version, own in scores.items()},
        [group for part, _ in parts for group in part.groups],
        worst_so_far,
    )


def scores_of(model: Any, raw: Any, targets: Targets, judge: Judge) -> Scores:
    """The scores of a model's answers to raw items, ``(n,)``."""
    return judge.scores(loading.answers(model, raw), targets)


def ask_some(model: Any, rows: SplitRows, most: int) -> Iterator[Judged]:
    """The answers of a model to the first rows of a split, which are a random sample.

    Args:
        model: a Keras model from raw items to answers.
        rows: of the split.
        most: the number of rows.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    module = medium(rows.snapshot.description.medium)
    for shard in np.flatnonzero(rows.counts).tolist():
        part = rows.read(shard)
        items = part.items[:most]
        outputs = loading.answers(model, module.raw(items))
        names = part.names[:most]
        yield Judged(rows.split, items, part.targets[:most], names, outputs)
        most -= len(items)
        if not most:
            return


def _worst(
    before: Worst | None, part: Rows, outputs: Outputs, count: int, judge: Judge
) -> Worst:
    """The ``count`` worst of the answers before and of a part's answers."""
    badness = judge.badness(outputs, part.targets)
    bad = np.flatnonzero(~(badness <= 0))  # NaN is bad
    bad = bad[_first(badness[bad], count)]
    own = Worst(part.items[bad], part.targets[bad], outputs[bad], badness[bad])
    if before is None:
        return own
    first = _first(np.concatenate([before.badness, own.badness]), count)

    def merge(name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(before, name), getattr(own, name)])[first]

    return Worst(*map(merge, ("items", "targets", "outputs", "badness")))


def _first(badness: npt.NDArray[Any], count: int) -> npt.NDArray[np.intp]:
    return np.argsort(-badness, kind="stable")[:count]
