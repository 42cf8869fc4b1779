"""An evaluation as numbers, tags, tables, pages and pictures of the MLflow run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.display import pictures
from headrace.display.pages import render
from headrace.media import medium
from headrace.pipeline import EvaluationSpec
from headrace.records import (
    DataDescription,
    GateResult,
    Metrics,
    TrainingRecord,
    verdict,
)
from headrace.stages.evaluation.answers import AnsweredSplit
from headrace.state.tracking import Tracking
from headrace.tasks import task

FOLDER = "evaluation"
PICTURED = 25


def draw_answers(
    answers: AnsweredSplit, evaluation: EvaluationSpec, folder: Path
) -> None:
    """Draw the task's pictures; draw and list the worst answers."""
    worst, judged, data = answers.worst, answers.judged, answers.judged.data
    judged.draw(evaluation, folder)
    captions = [
        judged.judge.caption(output, target, data)
        for output, target in zip(worst.outputs, worst.targets, strict=True)
    ]
    if captions:
        columns = {"answer": in_one_line(captions)}
        page, title = folder / "mistakes.html", task(data.task).mistakes
        show(page, title, columns, [*worst.items], captions, data)


def in_one_line(captions: Sequence[str]) -> list[str]:
    """Captions for the cells of a table."""
    return [caption.replace("\n", " ") for caption in captions]


def show(
    page: Path,
    title: str,
    columns: Mapping[str, Sequence[str]],
    items: Sequence[npt.NDArray[Any]],
    captions: Sequence[str],
    data: DataDescription,
) -> None:
    """Write a page with an item in each row, where texts can be read and sounds played.

    The same table is written as JSON. Beside it, the items are drawn in a grid, unless
    their medium is shown in tables only.

    Args:
        page: the file.
        title: of the page.
        columns: the texts after each item, by their heads.
        items: one a row, each of ``shape``, of the medium's type.
        captions: of the first items, which are drawn.
        data: of the snapshot.
    """
    module = medium(data.medium)
    if module.SAMPLE_INCHES is not None:
        drawn = np.stack(items[: len(captions)])
        draw = partial(module.draw_sample, data=data)
        path, inches = page.with_suffix(".png"), module.SAMPLE_INCHES
        pictures.draw_mistakes(drawn, captions, draw, inches, path)
    listed = [
        {"item": module.as_html(item, data), "cells": cells}
        for item, *cells in zip(items, *columns.values(), strict=True)
    ]
    table = {"heads": [*columns], "rows": listed}
    page.write_text(render("items.html", title=title, listed=table), encoding="utf-8")
    page.with_suffix(".json").write_text(json.dumps(table), encoding="utf-8")


def slice_tables(slices: Mapping[str, Metrics]) -> dict[str, list[dict[str, Any]]]:
    """The rows of a table for each kind of slice, such as ``class``.

    A row has the slice's name under the kind, the number of rows and the metrics.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, metrics in slices.items():
        kind, _, value = name.partition("=")
        columns = sorted(metrics.items(), key=lambda pair: pair[0] != "rows")
        finite = {k: v if math.isfinite(v) else None for k, v in columns}
        tables.setdefault(kind, []).append({kind: value, **finite})
    return tables


def log(
    tracking: Tracking,
    training: TrainingRecord,
    metrics: Metrics,
    slices: dict[str, Metrics],
    gates: Sequence[GateResult],
    place: Path,
) -> None:
    """Log metrics, the verdict, tables, a report and the pictures in ``place``."""
    values = {name: value for name, value in metrics.items() if math.isfinite(value)}
    results = [gate.model_dump() for gate in gates]
    report = {"metrics": values, "slices": slices, "gates": results}
    (place / FOLDER).mkdir()
    (place / FOLDER / "report.json").write_text(json.dumps(report, indent=1))
    tables = []
    for kind, rows in slice_tables(slices).items():
        columns = list(dict.fromkeys(name for row in rows for name in row))
        data = [[row.get(name) for name in columns] for row in rows]
        path = f"{FOLDER}/{kind}.json"
        (place / path).write_text(json.dumps({"columns": columns, "data": data}))
        tables.append({"path": path, "type": "table"})
    # MLflow shows the tables that this tag names.
    tags = {"verdict": verdict(gates), "mlflow.loggedArtifacts": json.dumps(tables)}
    tracking.log_metrics(training.run_id, values, model_uri=training.model_uri)
    tracking.log_tags(training.run_id, tags)
    tracking.log_files(training.run_id, place)
