"""One report per run: a page that needs nothing else, and Markdown for Prefect."""

from __future__ import annotations

import base64
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.errors import (
    DependencyError,
    HeadraceError,
    IntegrityError,
    NotFoundError,
)
from headrace.pages import render
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Metrics,
    PromotionRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)
from headrace.settings import Settings, find_pipeline
from headrace.spec import PipelineSpec
from headrace.spec.files import fields_of
from headrace.stages.evaluation.report import slice_tables
from headrace.stages.ingredients import FILE
from headrace.state.ledger import Ledger
from headrace.state.tracking import Tracking
from headrace.state.tracking.artifacts import local_path
from headrace.tasks import task
from headrace.use.comparison import Comparison, compare

REPORT = "report.html"
TAG = "headrace.report"
_CURVES = "Loss and score by epoch; the model has the weights of the epoch marked."
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run has come to so far; a run that was refused has not all of it.

    Attributes:
        stages: those that were begun.
        version: that holds its training; None where nothing was registered.
        overrides: fields of the law that it overrode.
        links: pages that belong to it, by name.
    """

    spec: PipelineSpec
    stages: Sequence[StageReport] = ()
    snapshot: SnapshotRecord | None = None
    contract: ContractRecord | None = None
    training: TrainingRecord | None = None
    evaluation: EvaluationRecord | None = None
    promotion: PromotionRecord | None = None
    version: int | None = None
    overrides: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)


def contents(outcome: Outcome, settings: Settings, ledger: Ledger) -> dict[str, Any]:
    """What the reports of a run show: the HTML page and the Markdown of Prefect's page.

    What cannot be read of MLflow is logged and left out.
    """
    tracking = Tracking(settings)
    compared = None
    try:
        compared = _against_champion(outcome, settings, ledger)
    except HeadraceError as error:
        log.warning("the report does not compare with the champion: %s", error)
    return describe(outcome, compared, tracking)


def describe(
    outcome: Outcome, compared: Comparison | None, tracking: Tracking
) -> dict[str, Any]:
    """The variables of the templates of a report.

    Args:
        outcome: of the run.
        compared: the champion's version and that of the run.
        tracking: where the pictures and the record of the training are.
    """
    spec, snapshot, contract = outcome.spec, outcome.snapshot, outcome.contract
    evaluation, learned = outcome.evaluation, task(outcome.spec.task)
    metrics = evaluation.metrics if evaluation else {}
    slices = evaluation.slices if evaluation else {}
    titles = {"mistakes": learned.mistakes, "suspects": "Labels that may be wrong"}
    captions = {"curves": _CURVES, **learned.pictures, **titles}
    files = _read_all(
        tracking,
        outcome.training,
        [FILE, *(f"pictures/{name}.png" for name in captions)]
        + [f"pictures/{name}.json" for name in titles],
    )
    recipe, usual = fields_of(spec), fields_of(_with_defaults(spec))
    ingredients = json.loads(files.get(FILE, b"{}"))
    items = {
        caption: json.loads(files[f"pictures/{name}.json"])
        for name, caption in titles.items()
        if f"pictures/{name}.json" in files
    }
    pictures = [
        (name, caption, _data_uri(files[f"pictures/{name}.png"]))
        for name, caption in captions.items()
        if f"pictures/{name}.png" in files
    ]
    suspects = [s.chance_wrong for s in evaluation.suspects] if evaluation else []
    rows, quarantined = {}, 0
    if snapshot:
        rows, quarantined = snapshot.rows, snapshot.rejected
    if contract:
        rows, quarantined = contract.rows, contract.quarantined
    judged = (snapshot, contract, outcome.training, evaluation)
    number = f"version {outcome.version}" if outcome.version else "not registered"
    return {
        "outcome": outcome,
        "title": f"{spec.name}, {number}",
        "figures": learned.answers.figures(metrics) if evaluation else "",
        "highlights": learned.answers.highlights(metrics, slices) if evaluation else [],
        "gates": [
            {
                "gate": gate.name,
                "result": "passed" if gate.passed else "failed",
                "compared": gate.compared,
                "reason": gate.reason,
            }
            for gate in (evaluation.gates if evaluation else ())
        ],
        "metrics": _metric_rows(metrics, [*learned.shown], compared),
        "slices": slice_tables(slices),
        "compared": compared,
        "changes": [
            change
            for change in (compared.differences if compared else ())
            if change.kind in {"spec", "data", "code"}
        ],
        "pictures": pictures,
        "items": {caption: table for caption, table in items.items() if table},
        "suspects": sum(suspects) / len(suspects) if suspects else 0,
        "counts": rows,
        "quarantined": quarantined,
        "findings": [finding for part in judged if part for finding in part.findings],
        "recipe": recipe,
        "chosen": {
            k: v
            for k, v in recipe.items()
            if usual.get(k) != v and not k.startswith("deploy.")
        },
        "libraries": {
            name.removeprefix("version "): version
            for name, version in ingredients.get("code", {}).items()
            if name.startswith("version ")
        },
        "python": ingredients.get("python", ""),
    }


def _with_defaults(spec: PipelineSpec) -> PipelineSpec:
    """What a pipeline file would say that names only the data and the model."""
    named = spec.model_dump(include={"name", "medium", "task"})
    model, data = {"builder": spec.model.builder}, {"source": spec.data.source}
    return PipelineSpec.model_validate({**named, "model": model, "data": data})


def log_report(run_id: str, shown: Mapping[str, Any], tracking: Tracking) -> None:
    """Write the HTML page of a run, and log it with the run."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        (Path(place) / REPORT).write_text(render(REPORT, **shown), encoding="utf-8")
        tracking.log_files(run_id, Path(place))
    tracking.log_tags(run_id, {TAG: REPORT})


def _against_champion(
    outcome: Outcome, settings: Settings, ledger: Ledger
) -> Comparison | None:
    """How a version differs from the champion that it was judged against."""
    champion = outcome.evaluation and outcome.evaluation.champion_version
    if not champion or not outcome.version or champion == outcome.version:
        return None
    first, second = (
        ledger.version(outcome.spec.name, number)
        for number in (champion, outcome.version)
    )
    return compare(first, second, settings)


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


def _data_uri(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _read_all(
    tracking: Tracking, training: TrainingRecord | None, paths: Sequence[str]
) -> dict[str, bytes]:
    """Those files of an MLflow run that it has, such as no worst answers if none is."""
    files: dict[str, bytes] = {}
    if training is None:
        return files
    try:
        for path in paths:
            data = _read(tracking, training.run_id, path)
            if data is not None:
                files[path] = data
    except DependencyError as error:
        log.warning("the report has not all of its pictures: %s", error)
    return files


def _read(tracking: Tracking, run_id: str, path: str) -> bytes | None:
    try:
        return tracking.run_file(run_id, path)
    except IntegrityError:
        return None


def find_report(name: str, settings: Settings) -> str:
    """The path or URI of a report.

    Args:
        name: ``PIPELINE``, for its last run that has one; ``MODEL/VERSION`` or
            ``MODEL@champion``, for the run that the version is of.
        settings: where MLflow and the ledger are.

    Raises:
        NotFoundError: there is no such pipeline or version, or no run with a report.
        DependencyError: MLflow or the ledger does not answer.
    """
    tracking = Tracking(settings)
    if {"/", "@"} & set(name):
        run_id = Ledger(settings.database_url).find(name).run_id
    else:
        run_id = tracking.newest_run(name, TAG)
    if not run_id or _read(tracking, run_id, REPORT) is None:
        model = name.partition("/")[0].partition("@")[0]
        if model not in Ledger(settings.database_url).models():
            find_pipeline(model, settings)
        raise NotFoundError(
            f"{name} has no report.",
            f"Run `headrace run {model}`: a run that trains ends with one.",
        )
    place = f"{tracking.run_place(run_id)}/{REPORT}"
    path = local_path(place)
    return place if path is None else str(path)
