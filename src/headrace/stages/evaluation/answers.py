"""The answers of a model and of its opponents to the test rows; scores by group."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import Rows, SplitRows
from headrace.media.forms import Columns
from headrace.models.logged import loading
from headrace.records import Finding, Metrics
from headrace.stages.evaluation.slices.conditions import columns_of, joined, most_rows
from headrace.tasks import Judge, asked
from headrace.tasks.forms import Judged, Outputs, Scores, Split, Targets

SHOWN = 50
SOME_ROWS = 20_000
LEVEL = 0.01
NOTABLE = 0.05  # of a confidence that is too high


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
class Answers:
    """One pass over the rows of the test split.

    Attributes:
        targets, outputs: ``(n, ...)``.
        scores: of the rows, ``(n,)``.
        others: the scores ``(n,)`` of each opponent, by version.
        groups: of the rows, ``(n,)``; empty where they have none.
        worst: the bad answers that are shown.
        weights: the denominators of the scores, ``(n,)``; None where all are 1.
        columns: of the first `most_rows` rows, from `columns_of`.
    """

    targets: Targets
    outputs: Outputs
    scores: Scores
    others: Mapping[int, Scores]
    groups: list[str]
    worst: Worst
    weights: Scores | None = None
    columns: Columns = field(default_factory=dict)


def ask(
    model: Any, others: Mapping[int, Any], rows: SplitRows, worst: int, judge: Judge
) -> Answers:
    """Let the models answer all rows, a shard at a time.

    Args:
        model: a Keras model from raw questions to answers.
        others: the opponents, by version.
        rows: of the test split.
        worst: the number of bad answers to return.
        judge: of the answers.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    data = rows.snapshot.description
    questions = asked(data)
    columns: list[Columns] = []
    targets: list[Targets] = []
    outputs: list[Outputs] = []
    groups: list[str] = []
    scores: dict[int, list[Scores]] = {version: [] for version in others}
    worst_so_far: Worst | None = None
    for shard in np.flatnonzero(rows.counts).tolist():
        part = rows.read(shard)
        if (left := most_rows(data) - len(groups)) > 0:
            columns.append(columns_of(part.items[:left], part.groups[:left], data))
        raw = questions.raw(part.questions)
        targets.append(part.targets)
        outputs.append(loading.answers(model, raw))
        groups += part.groups
        worst_so_far = _worst(worst_so_far, part, outputs[-1], worst, judge)
        for version, other in others.items():
            scores[version].append(scores_of(other, raw, part.targets, judge))
    if worst_so_far is None:
        raise ValueError("an evaluation needs test rows")  # the contract checks it
    truth, answers = np.concatenate(targets), np.concatenate(outputs)
    own, weights = judge.scores(answers, truth), judge.weights(answers, truth)
    of_others = {version: np.concatenate(parts) for version, parts in scores.items()}
    worst_answers, of_items = worst_so_far, joined(columns)
    return Answers(
        truth, answers, own, of_others, groups, worst_answers, weights, of_items
    )


def scores_of(model: Any, raw: Any, targets: Targets, judge: Judge) -> Scores:
    """The scores of a model's answers to raw questions, ``(n,)``."""
    return judge.scores(loading.answers(model, raw), targets)


def ask_some(model: Any, rows: SplitRows) -> Iterator[Judged]:
    """The answers of a model to the first rows of a split, which are a random sample.

    Args:
        model: a Keras model from raw questions to answers.
        rows: of the split; at most `SOME_ROWS` are answered.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    questions, most = asked(rows.snapshot.description), SOME_ROWS
    for shard in np.flatnonzero(rows.counts).tolist():
        part = rows.read(shard)
        items = part.items[:most]
        outputs = loading.answers(model, questions.raw(part.questions[:most]))
        answered = part.targets[:most], part.names[:most], outputs
        yield Judged(rows.split, items, *answered, SOME_ROWS - most)
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
    ends = np.cumsum(rows.counts)
    shards = np.searchsorted(ends, places, side="right")
    items: dict[int, npt.NDArray[Any]] = {}
    for shard in np.unique(shards).tolist():
        first = int(ends[shard] - rows.counts[shard])
        part = rows.read(shard).items
        items |= {p: part[p - first] for p in places if first <= p < ends[shard]}
    return [items[place] for place in places]


def group_slices(
    answers: Answers, train: Callable[[], Collection[str]], sure: float, judge: Judge
) -> dict[str, Metrics]:
    """The score of each group of the test rows, and of groups in and not in train.

    Args:
        answers: with the group and the score of each row.
        train: reads the groups of train.
        sure: the confidence of the intervals.
        judge: of the task.

    Returns:
        ``group=...`` of the largest groups, and ``groups=seen`` and ``groups=unseen``;
        nothing where there are no groups. Where answers have a confidence, its mean is
        ``confidence``, and ``right`` is the share of right answers.
    """
    groups = answers.groups
    if not any(groups):
        return {}
    seen, names = train(), np.array(groups, object)
    known = np.array([group in seen for group in groups], bool)
    rows = {"groups=seen": known, "groups=unseen": ~known}
    for group, _ in Counter(groups).most_common(SHOWN):
        rows[f"group={group}"] = names == group
    scores, weights = answers.scores, answers.weights
    certain = judge.certainty(answers.outputs, answers.targets)

    def summary(mine: npt.NDArray[np.bool_]) -> Metrics:
        own = None if weights is None else weights[mine]
        whole = judge.summary(scores[mine], sure, own)
        if certain is not None:
            whole["confidence"] = float(certain.promised[mine].mean())
            whole["right"] = float(certain.right[mine].mean())
        return whole

    return {
        name: {"rows": float(mine.sum()), **summary(mine)}
        for name, mine in rows.items()
        if mine.any()
    }


def unseen_groups(
    slices: dict[str, Metrics], score: str, val_score: float | None, val_rows: int
) -> tuple[Metrics, list[Finding]]:
    """The scores of unseen and of seen groups, and findings where they disappoint.

    The tests take all rows as independent. Rows of one group are alike, so that they
    only tell a difference from chance among rows, not from that among groups.

    Where the test split has only unseen groups, the score of val stands for the seen
    ones, if its rows are of groups of train.

    Args:
        slices: of `group_slices`.
        score: the name of the score.
        val_score, val_rows: of the val split; None where it has groups of its own.
    """
    unseen, seen = slices.get("groups=unseen"), slices.get("groups=seen")
    if unseen is None:
        return {}, []
    if seen is None and val_score is not None and val_rows:
        seen = {"rows": float(val_rows), score: val_score}
    metrics, findings = {f"test_{score}_unseen_groups": unseen[score]}, []
    if seen is not None:
        metrics[f"{score}_seen_groups"] = seen[score]
        findings += _different(unseen, seen, score)
    return metrics, findings + _overconfident(unseen)


def _different(unseen: Metrics, seen: Metrics, score: str) -> list[Finding]:
    p_value = _equal(unseen, seen, score)
    if p_value >= LEVEL:
        return []
    message = (
        f"{score.replace('_', ' ')} is {unseen[score]:.4f} on groups that are not in "
        f"train ({unseen['rows']:,.0f} rows) and {seen[score]:.4f} on those that are "
        f"({seen['rows']:,.0f} rows): more than chance among rows explains (p = "
        f"{p_value:.2g}); single groups may differ as much"
    )
    rows = int(unseen["rows"])
    return [Finding(check="unseen_groups", split="test", count=rows, message=message)]


def _overconfident(unseen: Metrics) -> list[Finding]:
    """A confidence on unseen groups that is higher than their share of right answers.

    The variance is the largest that right answers with this mean confidence can have.
    """
    promised, right, rows = (unseen.get(n) for n in ("confidence", "right", "rows"))
    if promised is None or right is None or not rows:
        return []
    deviation = math.sqrt(promised * (1 - promised) / rows)
    if promised - right <= max(NOTABLE, NormalDist().inv_cdf(1 - LEVEL) * deviation):
        return []
    message = (
        f"the mean confidence is {promised:.2f} on groups that are not in train, and "
        f"{right:.2f} of these {rows:,.0f} answers are right: it promises too much"
    )
    check, count = "unseen_confidence", int(rows)
    return [Finding(check=check, split="test", count=count, message=message)]


def _equal(one: Metrics, other: Metrics, score: str) -> float:
    """The two-sided p-value of equal means, by the normal approximation.

    Proportions have a pooled variance. Numbers have one variance each; that of the
    validation rows is unknown, and gives 1.
    """
    rows, others = one["rows"], other["rows"]
    deviation = f"{score}_deviation"
    if deviation not in one:
        pooled = (one[score] * rows + other[score] * others) / (rows + others)
        variance = pooled * (1 - pooled) * (1 / rows + 1 / others)
    elif deviation in other:
        variance = one[deviation] ** 2 / rows + other[deviation] ** 2 / others
    else:
        return 1.0
    if not variance:
        return 1.0
    z = abs(one[score] - other[score]) / math.sqrt(variance)
    return 2 * (1 - NormalDist().cdf(z))
