"""A sample of test rows on the rungs of the medium's robustness ladder.

The same rows are shifted for each rung, by the same seed in each evaluation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.rows import rows_at
from headrace.display.progress import Progress
from headrace.gates.rows import Robustness, RungRows
from headrace.media import Ladder, ladder
from headrace.media.forms import Payload
from headrace.models.logged import loading
from headrace.records import DataDescription, Metrics
from headrace.stages.evaluation.parts import NOTHING, EvaluatedModel, Look
from headrace.stages.evaluation.rungs import draw_ladder
from headrace.stages.evaluation.slices import rows_within
from headrace.tasks import Judge, asked, asks_items, task
from headrace.tasks.forms import Context, Outputs, Scores, Targets, per_weight

SEED = 0
# A second or two for a small network; ``depth = "full"`` takes all rows.
MOST_ROWS, LEAST_ROWS, MOST_BYTES = 500, 50, 2**21
_BLOCK_BYTES = 2**26  # of items that are shifted together


def climb(
    evaluated: EvaluatedModel, champions: Mapping[str, Metrics] = NOTHING
) -> Look:
    """Ask the model about shifted test rows; the slices are the rungs of the ladder.

    Args:
        evaluated: the evaluation.
        champions: the rungs of the champion by name, for the picture.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    context, judge, score = evaluated.context, evaluated.judge, evaluated.score
    data, spec = context.data, context.spec.evaluation
    steps = ladder(data.medium)
    # To a language model, a changed text is another text, and no worse question.
    if steps is None or not asks_items(data) or task(data.task).writes:
        return Look()
    once = np.flatnonzero(evaluated.once)
    rows = once if spec.depth == "full" else once[: most_rows(data)]
    robustness = _robustness(evaluated, steps, rows)
    summary = partial(_summary, judge, score, spec.confidence)
    slices = {f"rung={rung.name}": summary(rung) for rung in robustness.rungs}
    if not slices:
        return Look(rows={"robustness": robustness})
    by_family: dict[str, list[float]] = {}
    for rung in robustness.rungs:
        mean = slices[f"rung={rung.name}"][score]
        by_family.setdefault(rung.family, []).append(mean)
    means = [float(np.mean(scores)) for scores in by_family.values()]
    metrics = {
        "robustness_rows": float(len(rows)),
        f"robustness_{score}": float(np.mean(means)),
    }
    levels = {rung.name: (rung.family, rung.level) for rung in robustness.rungs}
    draw = partial(
        draw_ladder,
        {levels[rung.name]: slices[f"rung={rung.name}"] for rung in robustness.rungs},
        {
            levels[name]: numbers
            for name, numbers in champions.items()
            if name in levels and numbers.get("rows") == len(rows)
        },
        summary(robustness.clean),
        score,
        dict(steps.UNITS),
        evaluated.folder / "robustness.png",
    )
    return Look(metrics, slices, drawings=[draw], rows={"robustness": robustness})


def most_rows(data: DataDescription) -> int:
    """How many rows are shifted at the standard depth, fewer where items are large."""
    return rows_within(data, MOST_BYTES, LEAST_ROWS, MOST_ROWS)


def _robustness(
    evaluated: EvaluatedModel, steps: Ladder, rows: npt.NDArray[np.intp]
) -> Robustness:
    context, answers, judge = evaluated.context, evaluated.answers, evaluated.judge
    data = context.data
    rungs = steps.rungs(data)
    weights = None if answers.judged.weights is None else answers.judged.weights[rows]
    sure = _confidence(judge, answers.judged.outputs[rows])
    clean = RungRows("", 0.0, answers.judged.scores[rows], weights, _mean([sure]))
    parts: dict[tuple[str, float], list[AnsweredRung]] = {rung: [] for rung in rungs}
    changes = dict.fromkeys(rungs, False)
    done = 0
    with Progress("robustness", len(rows) * len(rungs), "items") as progress:
        for items, chosen in item_blocks(context, rows):
            targets = answers.judged.targets[chosen]
            for family, level in rungs:
                random = np.random.default_rng([SEED, int(chosen[0])])
                shifted = steps.shifted(items, family, level, data, random)
                changes[family, level] |= not np.array_equal(shifted, items)
                part = ask_items(context.model, shifted, targets, judge, data)
                parts[family, level].append(part)
                done += len(items)
                progress.update(done, family)
    return Robustness(
        clean,
        [joined_rows(*rung, parts[rung]) for rung in rungs if changes[rung]],
        task(data.task).higher_is_better,
    )


class AnsweredRung(NamedTuple):
    """The answers to some changed items.

    Attributes:
        scores: ``(n,)``.
        weights: their denominators, ``(n,)``; None where all are 1.
        confidence: the scores that the model promises, ``(n,)``; None where the task
            knows none.
    """

    scores: Scores
    weights: Scores | None
    confidence: npt.NDArray[np.float64] | None


def ask_items(
    model: Any, items: Payload, targets: Targets, judge: Judge, data: DataDescription
) -> AnsweredRung:
    """Ask a model about changed items ``(n, *shape)`` with given targets ``(n,)``."""
    outputs = loading.answers(model, asked(data).raw(items))
    judged = judge.judged(outputs, targets, data)
    return AnsweredRung(judged.scores, judged.weights, _confidence(judge, outputs))


def _confidence(judge: Judge, outputs: Outputs) -> npt.NDArray[np.float64] | None:
    """The score that a model promises for each row, by its own probabilities."""
    promised = judge.expected_scores(judge.calibrated(outputs, 1.0))
    return None if promised is None else np.asarray(promised, np.float64)


def _mean(parts: Sequence[npt.NDArray[np.float64] | None]) -> float | None:
    present = [part for part in parts if part is not None]
    return float(np.concatenate(present).mean()) if present else None


def joined_rows(family: str, level: float, parts: Sequence[AnsweredRung]) -> RungRows:
    """The answers of one rung from those to blocks of its rows."""
    weights = [part.weights for part in parts if part.weights is not None]
    return RungRows(
        family,
        level,
        np.concatenate([part.scores for part in parts]),
        np.concatenate(weights) if weights else None,
        _mean([part.confidence for part in parts]),
    )


def item_blocks(
    context: Context, rows: npt.NDArray[np.intp]
) -> Iterator[tuple[Payload, npt.NDArray[np.intp]]]:
    """Items of some test rows in bounded memory, with the numbers of the rows."""
    items, chosen = [], []
    for own, part in rows_at(context.test, rows):
        items.append(part.items)
        chosen.append(own)
        if sum(part.nbytes for part in items) >= _BLOCK_BYTES:
            yield np.concatenate(items), np.concatenate(chosen)
            items, chosen = [], []
    if items:
        yield np.concatenate(items), np.concatenate(chosen)


def _summary(judge: Judge, score: str, sure: float, rung: RungRows) -> Metrics:
    whole = judge.summary(rung.scores, sure, rung.weights)
    names = (score, f"{score}_low", f"{score}_high")
    numbers = {name: whole[name] for name in names if name in whole}
    if score not in numbers:
        numbers = {score: float(per_weight(rung.scores, rung.weights).mean())}
    rows = {"rows": float(len(rung.scores))}
    sure_of = {} if rung.confidence is None else {"confidence": rung.confidence}
    return {**rows, **numbers, **sure_of}
