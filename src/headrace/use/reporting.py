"""One report per run: an HTML page that needs nothing else, logged with the run."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.pages import render
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Metrics,
    PromotionRecord,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.spec.fields import fields_of
from headrace.stages.ingredients import FILE
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking, local_path
from headrace.tasks import task
from headrace.use.comparison import Comparison, compare

REPORT = "report.html"
TAG = "headrace.report"
_CURVES = "Loss and score by epoch; the model has the weights of the epoch marked."
_ITEMS = {
    "mistakes": "The worst answers",
    "suspects": "Labels that may be wrong",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run that came to its end has made.

    Attributes:
        version: that holds its training; None where nothing was registered.
        overrides: fields of the law that it overrode.
        links: pages that belong to it, by name.
    """

    spec: PipelineSpec
    snapshot: SnapshotRecord
    contract: ContractRecord
    training: TrainingRecord
    evaluation: EvaluationRecord
    promotion: PromotionRecord
    version: int | None
    overrides: tuple[str, ...]
    links: Mapping[str, str]


def log_report(outcome: Outcome, settings: Settings, ledger: Ledger) -> None:
    """Write the report of a run, and log it with the run."""
    tracking = Tracking(settings)
    run_id = outcome.training.run_id
    compared = _against_champion(outcome, settings, ledger)
    text = report(outcome, compared, tracking)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        (Path(place) / REPORT).write_text(text, encoding="utf-8")
        tracking.log_files(run_id, Path(place))
    tracking.log_tags(run_id, {TAG: REPORT})


def report(outcome: Outcome, compared: Comparison | None, tracking: Tracking) -> str:
    """The report of a run as HTML.

    Args:
        outcome: of the run.
        compared: the champion's version and that of the run.
        tracking: where the pictures and the record of the training are.
    """
    evaluation, training, spec = outcome.evaluation, outcome.training, outcome.spec
    learned, run_id = task(spec.task), training.run_id
    files = {
        name: _read_json(tracking, run_id, f"pictures/{name}.json") for name in _ITEMS
    }
    captions = {"curves": _CURVES, **learned.pictures, **_ITEMS}
    ingredients = _read_json(tracking, run_id, FILE) or {}
    suspects = [suspect.chance_wrong for suspect in evaluation.suspects]
    return render(
        "report.html",
        title=f"{spec.name}, version {outcome.version}"
        if outcome.version
        else f"{spec.name}, not registered",
        figures=learned.answers.figures(evaluation.metrics),
        highlights=learned.answers.highlights(evaluation.metrics, evaluation.slices),
        metrics=_metric_rows(evaluation.metrics, [*learned.shown], compared),
        slices=_slice_tables(evaluation.slices),
        compared=compared,
        pictures=_pictures(tracking, run_id, captions),
        items={_ITEMS[name]: table for name, table in files.items() if table},
        suspects=sum(suspects) / len(suspects) if suspects else 0,
        findings=[
            *outcome.snapshot.findings,
            *outcome.contract.findings,
            *evaluation.findings,
        ],
        recipe=fields_of(spec),
        libraries={
            name.removeprefix("version "): version
            for name, version in ingredients.get("code", {}).items()
            if name.startswith("version ")
        },
        python=ingredients.get("python", ""),
        outcome=outcome,
    )


def _against_champion(
    outcome: Outcome, settings: Settings, ledger: Ledger
) -> Comparison | None:
    """How a version differs from the champion that it was judged against."""
    name, champion = outcome.spec.name, outcome.evaluation.champion_version
    if None in (champion, outcome.version) or champion == outcome.version:
        return None
    versions = [ledger.version(name, int(n or 0)) for n in (champion, outcome.version)]
    return compare(versions[0], versions[1], settings)


def _metric_rows(
    metrics: Metrics, first: list[str], compared: Comparison | None
) -> list[dict[str, Any]]:
    """Metrics with their intervals, which have names of their own, and a champion's.

    Args:
        metrics: by name.
        first: the names of those that say most.
        compared: the champion's version and that of the run.
    """
    both = compared.metrics if compared else {}
    ends = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return [
        {
            "name": name.removeprefix("test_").replace("_", " "),
            "value": value,
            "low": metrics.get(f"{name}_low"),
            "high": metrics.get(f"{name}_high"),
            "champion": both.get(name, (None,))[0],
        }
        for name, value in sorted(
            metrics.items(), key=lambda pair: pair[0] not in first
        )
        if name not in ends
    ]


def _slice_tables(slices: Mapping[str, Metrics]) -> dict[str, dict[str, Metrics]]:
    """The metrics of slices by kind, such as class or group, and then by value."""
    tables: dict[str, dict[str, Metrics]] = {}
    for name, metrics in slices.items():
        kind, _, value = name.partition("=")
        columns = sorted(metrics.items(), key=lambda pair: pair[0] != "rows")
        tables.setdefault(kind, {})[value] = dict(columns)
    return tables


def _pictures(
    tracking: Tracking, run_id: str, captions: Mapping[str, str]
) -> list[tuple[str, str]]:
    """The run's pictures as data URIs, each with its caption."""
    pictures = []
    for name, caption in captions.items():
        data = _read(tracking, run_id, f"pictures/{name}.png")
        if data is not None:
            text = base64.b64encode(data).decode()
            pictures.append((caption, f"data:image/png;base64,{text}"))
    return pictures


def _read(tracking: Tracking, run_id: str, path: str) -> bytes | None:
    try:
        return tracking.run_file(run_id, path)
    except IntegrityError:  # such as the worst answers of a model without mistakes
        return None


def _read_json(tracking: Tracking, run_id: str, path: str) -> Any:
    data = _read(tracking, run_id, path)
    return None if data is None else json.loads(data)


def find_report(name: str, settings: Settings) -> str:
    """The path or URI of a report.

    Args:
        name: ``PIPELINE``, for its last run that has one; ``MODEL/VERSION`` or
            ``MODEL@champion``, for the run that the version is of.
        settings: where MLflow and the ledger are.

    Raises:
        NotFoundError: there is no such version, or no run with a report.
        DependencyError: MLflow or the ledger does not answer.
    """
    tracking = Tracking(settings)
    if {"/", "@"} & set(name):
        run_id = Ledger(settings.database_url).find(name).run_id
    else:
        run_id = tracking.newest_run(name, TAG)
    if not run_id or _read(tracking, run_id, REPORT) is None:
        model = name.partition("/")[0].partition("@")[0]
        raise NotFoundError(
            f"{name} has no report.",
            f"Run `headrace run {model}`: a run that trains ends with one.",
        )
    place = f"{tracking.run_place(run_id)}/{REPORT}"
    path = local_path(place)
    return place if path is None else str(path)
