"""One report per run: an HTML page that needs nothing else, logged with the run."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import HeadraceError, IntegrityError, NotFoundError
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
from headrace.stages.ingredients import FILE, SPEC
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import Tracking, local_path
from headrace.tasks import task

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
    text = report(outcome, tracking, ledger)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        (Path(place) / REPORT).write_text(text, encoding="utf-8")
        tracking.log_files(run_id, Path(place))
    tracking.log_tags(run_id, {TAG: REPORT})


def report(outcome: Outcome, tracking: Tracking, ledger: Ledger) -> str:
    """The report of a run as HTML."""
    evaluation, training, spec = outcome.evaluation, outcome.training, outcome.spec
    learned, run_id = task(spec.task), training.run_id
    files = {
        name: _read_json(tracking, run_id, f"pictures/{name}.json") for name in _ITEMS
    }
    captions = {"curves": _CURVES, **learned.pictures, **_ITEMS}
    ingredients = _read_json(tracking, run_id, FILE) or {}
    champion, metrics, changes = _against_champion(outcome, tracking, ledger)
    suspects = [suspect.chance_wrong for suspect in evaluation.suspects]
    return render(
        "report.html",
        title=f"{spec.name}, version {outcome.version}"
        if outcome.version
        else f"{spec.name}, not registered",
        figures=learned.answers.figures(evaluation.metrics),
        highlights=learned.answers.highlights(evaluation.metrics, evaluation.slices),
        metrics=_metric_rows(evaluation.metrics, metrics),
        slices=_slice_tables(evaluation.slices),
        champion=champion,
        changes=changes,
        pictures=_pictures(tracking, run_id, captions),
        items={_ITEMS[name]: table for name, table in files.items() if table},
        suspects=sum(suspects) / len(suspects) if suspects else 0,
        findings=[
            *outcome.snapshot.findings,
            *outcome.contract.findings,
            *evaluation.findings,
        ],
        recipe=flatten(spec.model_dump(mode="json", exclude_none=True)),
        libraries={
            name.removeprefix("version "): version
            for name, version in ingredients.get("code", {}).items()
            if name.startswith("version ")
        },
        python=ingredients.get("python", ""),
        outcome=outcome,
    )


def _against_champion(
    outcome: Outcome, tracking: Tracking, ledger: Ledger
) -> tuple[int | None, Mapping[str, float | None], list[tuple[str, Any, Any]]]:
    """The champion's version, its metrics, and the fields in which the run differs."""
    name, number = outcome.spec.name, outcome.evaluation.champion_version
    if number is None or number == outcome.version:
        return None, {}, []
    champion = ledger.version(name, number)
    evidence = ledger.standing_evidence(name, number)
    before = _read_json(tracking, champion.run_id, SPEC) or {}
    now = outcome.spec.model_dump(mode="json")
    changes = differences(
        {**flatten(before), "data": champion.snapshot_digest[:12]},
        {**flatten(now), "data": outcome.snapshot.digest[:12]},
    )
    return number, evidence.metrics if evidence else {}, changes


def differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> list[tuple[str, Any, Any]]:
    """The fields that differ: name, value before, value after."""
    return [
        (name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables as one, with dotted names; named rows of a list by their names."""
    return dict(_flatten(table, ""))


def _flatten(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, list) and value and isinstance(value[0], Mapping):
            rows = {str(row.get("name", n)): row for n, row in enumerate(value)}
            yield from _flatten(rows, f"{prefix}{key}.")
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif value not in (None, [], ""):
            yield f"{prefix}{key}", value


def _metric_rows(
    metrics: Metrics, champions: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Metrics with their intervals, which have names of their own, and a champion's."""
    ends = {f"{name}_{end}" for name in metrics for end in ("low", "high")}
    return [
        {
            "name": name.removeprefix("test_").replace("_", " "),
            "value": value,
            "low": metrics.get(f"{name}_low"),
            "high": metrics.get(f"{name}_high"),
            "champion": champions.get(name),
        }
        for name, value in metrics.items()
        if name not in ends
    ]


def _slice_tables(slices: Mapping[str, Metrics]) -> dict[str, dict[str, Metrics]]:
    """The metrics of slices by kind, such as class or group, and then by value."""
    tables: dict[str, dict[str, Metrics]] = {}
    for name, metrics in slices.items():
        kind, _, value = name.partition("=")
        tables.setdefault(kind, {})[value] = metrics
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


def find_report(model: str, version: int | None, settings: Settings) -> str:
    """The path or URI of the report of a version, or of a pipeline's last run.

    Raises:
        NotFoundError: there is no such version, or no run with a report.
        DependencyError: MLflow or the ledger does not answer.
    """
    tracking = Tracking(settings)
    if version is not None:
        run_id = Ledger(settings.database_url).version(model, version).run_id
    else:
        run_id = tracking.newest_run(model, TAG)
    if not run_id or _read(tracking, run_id, REPORT) is None:
        what = f"Version {version} of {model}" if version else f"{model}"
        raise NotFoundError(
            f"{what} has no report.",
            f"Run `headrace run {model}`: a run ends with one.",
        )
    place = f"{tracking.run_place(run_id)}/{REPORT}"
    path = local_path(place)
    return place if path is None else str(path)
