"""How many of the suspected labels are wrong, and which items they belong to.

A task estimates for each suspect the probability that its label is wrong. Their sum is
the expected number of wrong labels among them. The interval is that of a sum of
independent events with these probabilities. Each draw of the parameters that the
probabilities come from gives such a sum, and the interval is of all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.snapshots.splits import SplitRows
from headrace.media import medium
from headrace.media.arrow import digests
from headrace.records import (
    SUSPECTS,
    SUSPECTS_WRONG,
    Metrics,
)
from headrace.stages.evaluation import report
from headrace.stages.evaluation.answers import ask_some
from headrace.stages.evaluation.parts import Look, Trained
from headrace.stages.evaluation.second import SecondOpinion
from headrace.state.home import Home
from headrace.tasks import Judge
from headrace.tasks.forms import Context, Second, Suspect
from headrace.tasks.intervals import count_distribution


def find(
    model: Any,
    splits: Iterable[SplitRows],
    judge: Judge,
    second: Second,
    *,
    own_loss: bool,
) -> list[Suspect]:
    """The suspects of some splits, with the sha256 of their items.

    Args:
        model: a Keras model from raw questions to answers.
        splits: of one snapshot, each judged by some of its rows.
        judge: of the answers.
        second: the answers of other models to held-out rows.
        own_loss: whether the model was fitted to another loss than the task's.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    splits = list(splits)
    data = splits[0].snapshot.description
    parts = (part for rows in splits for part in ask_some(model, rows))
    suspects = judge.suspects(parts, data, second, own_loss=own_loss)
    module = medium(data.medium)
    items = [digests(suspect.item[np.newaxis], module).hex() for suspect in suspects]
    return [
        replace(suspect, row=suspect.row.model_copy(update={"item": item}))
        for suspect, item in zip(suspects, items, strict=True)
    ]


def look_for(
    context: Context, judge: Judge, records: Trained, folder: Path, home: Home
) -> Look:
    """The suspects of all splits: expected wrong labels, a page and records.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    spec, data = context.spec, context.data
    second = SecondOpinion(spec, records, home)
    splits, own_loss = (records.test, records.val, records.train), spec.training.loss
    suspects = find(context.model, splits, judge, second, own_loss=own_loss is not None)
    if not suspects:
        return Look(findings=second.findings)
    rows = [suspect.row for suspect in suspects]
    columns = {
        "row": [row.name for row in rows],
        "split": [row.split for row in rows],
        "labelled": [row.label for row in rows],
        "predicted": [row.likely for row in rows],
        "chance that it is wrong": [f"{row.chance_wrong:.0%}" for row in rows],
    }
    captions = [
        f"labelled {row.label}, predicted {row.likely}\n"
        f"{row.chance_wrong:.0%} likely wrong"
        for row in rows[: report.PICTURED]
    ]
    page, items = folder / "suspects.html", [suspect.item for suspect in suspects]
    title = "Labels that may be wrong"
    return Look(
        expected_wrong(suspects, spec.evaluation.confidence),
        findings=second.findings,
        drawings=[partial(report.show, page, title, columns, items, captions, data)],
        suspects=rows,
    )


def expected_wrong(suspects: Sequence[Suspect], confidence: float) -> Metrics:
    """The number of suspects, and the expected number of wrong labels among them.

    Args:
        suspects: each with the probability that its label is wrong.
        confidence: of the interval, such as 0.95.
    """
    chances = [suspect.row.chance_wrong for suspect in suspects]
    drawn = np.stack([suspect.drawn for suspect in suspects], axis=1)
    below = np.cumsum(np.mean([count_distribution(draw) for draw in drawn], axis=0))
    tail = (1 - confidence) / 2
    low = int(np.searchsorted(below, tail))
    high = int(np.searchsorted(below, 1 - tail))
    return {
        SUSPECTS: float(len(chances)),
        SUSPECTS_WRONG: round(float(sum(chances)), 4),
        f"{SUSPECTS_WRONG}_low": float(low),
        f"{SUSPECTS_WRONG}_high": float(min(high, len(chances))),
    }
