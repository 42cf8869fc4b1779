"""A sample of test rows on the rungs of the medium's robustness ladder.

The same rows are shifted for each rung, by the same seed in each evaluation.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import rows_at
from headrace.display.pictures import ACCENT, INK, new_figure, save
from headrace.display.progress import Progress
from headrace.gates.intervals import linear_parts
from headrace.gates.paired import Paired
from headrace.gates.paired_numbers import are_finite, mean_bound
from headrace.media import Ladder, ladder
from headrace.media.forms import Payload
from headrace.models.logged import loading
from headrace.records import DataDescription, Metrics
from headrace.stages.evaluation.answers import EvaluatedModel, Look
from headrace.stages.evaluation.slices import rows_within
from headrace.tasks import Judge, asked, asks_items, task
from headrace.tasks.forms import Context, Outputs, Scores, per_weight

OF_LADDER = "rung=", "robustness_"  # the beginnings of the names of its metrics
SEED = 0
# A second or two for a small network; ``depth = "full"`` takes all rows.
MOST_ROWS, LEAST_ROWS, MOST_BYTES = 500, 50, 2**21
_BLOCK_BYTES = 2**26  # of items that are shifted together
_GAP = 1.0  # between families in the picture, in rungs
_LETTERS = 165  # of a line below the picture


@dataclass(frozen=True, slots=True)
class RungRows:
    """The answers to test items after one shift of the medium's robustness ladder.

    Attributes:
        family, level: such as noise and 25.
        scores: of each row, ``(k,)``.
        weights: their denominators, ``(k,)``; None where all are 1.
        confidence: the mean score that the model promises; None where the task knows
            none.
    """

    family: str
    level: float
    scores: Scores
    weights: Scores | None
    confidence: float | None

    @property
    def name(self) -> str:
        """Such as ``noise 25``."""
        return f"{self.family} {self.level:g}"


def climb(evaluated: EvaluatedModel) -> Look:
    """Ask the model about shifted test rows; the slices are the rungs of the ladder.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    context, score = evaluated.context, evaluated.score
    data, spec = context.data, context.spec.evaluation
    steps = ladder(data.medium)
    # To a language model, a changed text is another text, and no worse question.
    if steps is None or not asks_items(data) or task(data.task).writes:
        return Look()
    once = np.flatnonzero(evaluated.once)
    rows = once if spec.depth == "full" else once[: most_rows(data)]
    clean, rungs = _answered(evaluated, steps, rows)
    if not rungs:
        return Look()
    summary = partial(_summary, evaluated.judge, score, spec.confidence)
    higher, level = task(data.task).higher_is_better, 1 - spec.confidence
    drop = partial(drop_bound, clean=clean, level=level, higher_is_better=higher)
    unchanged = summary(clean)[score]
    numbers = [
        summary(rung) | ({"drop_high": bound} if math.isfinite(bound) else {})
        for rung, bound in zip(rungs, map(drop, rungs), strict=True)
    ]
    families: dict[str, list[float]] = {}
    for rung, own in zip(rungs, numbers, strict=True):
        families.setdefault(rung.family, []).append(own[score])
    means = [float(np.mean(scores)) for scores in families.values()]
    metrics = {
        "robustness_rows": float(len(rows)),
        f"robustness_{score}": float(np.mean(means)),
    }
    slices = {f"rung={r.name}": n for r, n in zip(rungs, numbers, strict=True)}
    path = evaluated.folder / "robustness.png"
    draw = partial(draw_ladder, rungs, numbers, unchanged, score, steps.UNITS, path)
    return Look(metrics, slices, drawings=[draw])


def most_rows(data: DataDescription) -> int:
    """How many rows are shifted at the standard depth, fewer where items are large."""
    return rows_within(data, MOST_BYTES, LEAST_ROWS, MOST_ROWS)


def drop_bound(
    rung: RungRows, clean: RungRows, level: float, *, higher_is_better: bool
) -> float:
    """The largest loss on a rung, against the same rows, that is not excluded.

    For right and wrong the bound of `headrace.gates.paired.Paired`; for numbers and
    ratios Student's t of the paired differences.

    Args:
        rung, clean: the same rows, in one order.
        level: one-sided chance of an error.
        higher_is_better: of the scores.

    Returns:
        NaN with fewer than two rows, with scores that are not finite, or with weights
        that are no sizes, in either of the two: a clean score beyond all others is no
        gain on the rung.
    """
    if not (_are_sound(rung) and _are_sound(clean)):
        return math.nan
    if rung.scores.dtype == bool and rung.weights is None:
        every = np.ones(len(rung.scores), bool)
        return -Paired.of(rung.scores, clean.scores, every).lower_bound(level)
    sign = 1 if higher_is_better else -1
    after, before = (linear_parts(r.scores, r.weights) for r in (rung, clean))
    return -mean_bound(sign * (after - before), level)


def _are_sound(side: RungRows) -> bool:
    """Whether scores are finite, and weights are sizes: finite, none below 0."""
    if len(side.scores) < 2 or not are_finite(side.scores).all():
        return False
    sizes = side.weights
    return sizes is None or bool(
        (are_finite(sizes) & (sizes >= 0)).all() and sizes.any()
    )


def _answered(
    evaluated: EvaluatedModel, steps: Ladder, rows: npt.NDArray[np.intp]
) -> tuple[RungRows, list[RungRows]]:
    """The answers to some test rows as they are, and on each rung that changes one."""
    context, judge, data = evaluated.context, evaluated.judge, evaluated.context.data
    judged, rungs = evaluated.answers.judged, steps.rungs(data)
    promised = _confidence(judge, judged.outputs[rows])
    weights = None if judged.weights is None else judged.weights[rows]
    clean = RungRows("", 0.0, judged.scores[rows], weights, promised)
    parts: dict[tuple[str, float], list[RungRows]] = {rung: [] for rung in rungs}
    changes, done = dict.fromkeys(rungs, False), 0
    with Progress("robustness", len(rows) * len(rungs), "items") as progress:
        for items, chosen in _blocks(context, rows):
            for rung in rungs:
                random = np.random.default_rng([SEED, int(chosen[0])])
                shifted = steps.shifted(items, *rung, data, random)
                changes[rung] |= not np.array_equal(shifted, items)
                outputs = loading.answers(context.model, asked(data).raw(shifted))
                one = judge.judged(outputs, judged.targets[chosen], data)
                sure = _confidence(judge, outputs)
                parts[rung].append(RungRows(*rung, one.scores, one.weights, sure))
                done += len(items)
                progress.update(done, rung[0])
    joined = [_joined(parts[rung]) for rung in rungs if changes[rung]]
    return clean, joined


def _joined(parts: Sequence[RungRows]) -> RungRows:
    """The answers of one rung from those to blocks of its rows."""
    weights = [part.weights for part in parts if part.weights is not None]
    sure = [part.confidence for part in parts if part.confidence is not None]
    sizes = [len(part.scores) for part in parts]
    return replace(
        parts[0],
        scores=np.concatenate([part.scores for part in parts]),
        weights=np.concatenate(weights) if weights else None,
        confidence=float(np.average(sure, weights=sizes)) if sure else None,
    )


def _confidence(judge: Judge, outputs: Outputs) -> float | None:
    """The mean score that a model promises, by its own probabilities."""
    promised = judge.expected_scores(judge.calibrated(outputs, 1.0))
    return None if promised is None else float(np.mean(promised, dtype=np.float64))


def _blocks(
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
    numbers.setdefault(score, float(per_weight(rung.scores, rung.weights).mean()))
    promised = {} if rung.confidence is None else {"confidence": rung.confidence}
    return {"rows": float(len(rung.scores)), **numbers, **promised}


def draw_ladder(
    rungs: Sequence[RungRows],
    numbers: Sequence[Metrics],
    clean: float,
    score: str,
    units: Mapping[str, str],
    path: Path,
) -> None:
    """Draw the score of each rung with its interval, and the mean confidence.

    Args:
        rungs: those of one family one after the other.
        numbers: of each rung.
        clean: the score of the same rows as they are.
        score: its name.
        units: what the levels of a family are.
        path: of the PNG.
    """
    figure = new_figure(10, 4.2)
    axes = figure.subplots()
    axes.axhline(clean, color="grey", ls="--", lw=1, label="as they are")
    families = list(dict.fromkeys(rung.family for rung in rungs))
    gaps = [_GAP * families.index(rung.family) for rung in rungs]
    places = np.arange(len(rungs)) + gaps
    columns = {
        key: np.array([own.get(key, np.nan) for own in numbers])
        for key in (score, f"{score}_low", f"{score}_high", "confidence")
    }
    means, low, high, sure = columns.values()
    reach = np.nan_to_num(np.abs(np.stack([low, high]) - means))
    look: dict[str, Any] = {"fmt": "o-", "ms": 3, "color": INK, "label": "score"}
    for family in families:
        own = [n for n, rung in enumerate(rungs) if rung.family == family]
        axes.plot(places[own], sure[own], ":", color=ACCENT, label="confidence")
        axes.errorbar(places[own], means[own], reach[:, own], **look)
        middle, where = float(places[own].mean()), axes.get_xaxis_transform()
        axes.text(middle, 1.02, family, transform=where, fontsize=8, ha="center")
    axes.set_xticks(places, [f"{rung.level:g}" for rung in rungs], rotation=90)
    axes.set_ylabel(score.replace("_", " "), fontsize=8)
    axes.tick_params(labelsize=7)
    named = [f"{name}: {units[name]}" for name in families]
    axes.set_xlabel(textwrap.fill("; ".join(named), _LETTERS), fontsize=7)
    axes.grid(alpha=0.3, axis="y")
    lines = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(lines.values(), lines, loc="outside upper right", ncols=3, fontsize=8)
    save(figure, path)
