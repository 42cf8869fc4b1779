"""The labels that are worth a look, and which items they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from headrace.data.snapshots.splits import SplitRows
from headrace.media import medium
from headrace.media.digests import digests
from headrace.records import SUSPECTS
from headrace.stages.evaluation import report
from headrace.stages.evaluation.answers import ask_some
from headrace.stages.evaluation.parts import Look, Trained
from headrace.stages.evaluation.second import SecondOpinion
from headrace.state.home import Home
from headrace.tasks import Judge
from headrace.tasks.forms import Context, Second, Suspect


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
    """The suspects of all splits: their number, a page and records.

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
    }
    captions = [
        f"labelled {row.label}\npredicted {row.likely}"
        for row in rows[: report.PICTURED]
    ]
    page, items = folder / "suspects.html", [suspect.item for suspect in suspects]
    title = "Labels to look at"
    return Look(
        {SUSPECTS: float(len(rows))},
        findings=second.findings,
        drawings=[partial(report.show, page, title, columns, items, captions, data)],
        suspects=rows,
    )
