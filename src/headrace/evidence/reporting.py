"""The report of a run: a self-contained HTML page, and Markdown for Prefect."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from headrace.errors import HeadraceError, IntegrityError, NotFoundError
from headrace.evidence.card import (
    RunSoFar,
    about,
    group_sentences,
    lineage,
    privacy_sentences,
)
from headrace.evidence.map_section import keep_page
from headrace.evidence.metrics import headline, metric_rows
from headrace.evidence.pictured import pictured
from headrace.explanations import why_not
from headrace.explanations.checked import MEASURED
from headrace.explanations.verdict import sanity_of, sentences, verdicts_of
from headrace.pages import render
from headrace.pipeline import PipelineSpec
from headrace.pipeline.files import fields_of
from headrace.pipeline.folders import find_pipeline
from headrace.records import (
    SUSPECTS,
    ChoiceRecord,
    EvaluationRecord,
)
from headrace.settings import Settings
from headrace.stages.evaluation.report import slice_tables
from headrace.state.backbones import as_known
from headrace.state.home import Home
from headrace.state.ledger.disposals import collected_error
from headrace.state.ledger.records import model_of
from headrace.state.tracking import REPORT_FILE, Tracking
from headrace.state.tracking.artifacts import local_path
from headrace.tasks import Task, task
from headrace.use.comparison import ModelComparison, compare

TAG = "headrace.report"
log = logging.getLogger("headrace")


def contents(outcome: RunSoFar, links: Mapping[str, str], home: Home) -> dict[str, Any]:
    """The variables of the templates of a run's reports, in HTML and in Markdown.

    What MLflow cannot provide is logged and left out.
    """
    compared = None
    try:
        compared = _against_champion(outcome, home)
    except HeadraceError as error:
        log.warning("the report does not compare with the champion: %s", error)
    described = describe(outcome, links, compared, home.tracking)
    described["explanations"] = _explanations(outcome, home)
    if outcome.training and outcome.training.backbone:
        licence = as_known(outcome.training.backbone, home).licence
        described["lineage"]["licence of the backbone"] = licence or "unknown"
    return described


def describe(
    outcome: RunSoFar,
    links: Mapping[str, str],
    compared: ModelComparison | None,
    tracking: Tracking,
) -> dict[str, Any]:
    """The variables of the templates of a report.

    Args:
        outcome: the run.
        links: pages that belong to it, by name.
        compared: the champion's version and that of the run.
        tracking: where the pictures and the record of the training are.
    """
    spec, training = outcome.spec, outcome.training
    learned, run_id = task(spec.task), training.run_id if training else None
    number = f"version {outcome.version}" if outcome.version else "not registered"
    return {
        "outcome": outcome,
        "links": links,
        "title": f"{spec.name}, {number}",
        "candidates": _candidates(outcome.choice),
        "explanations": [],
        "about": about(outcome),
        "groups": group_sentences(outcome),
        "privacy": privacy_sentences(outcome),
        "lineage": lineage(outcome.snapshot, training, outcome.evaluation),
        **_data(outcome),
        **_judged(outcome.evaluation, compared, learned),
        **_fields(spec),
        **pictured(run_id, learned, tracking),
    }


def _data(outcome: RunSoFar) -> dict[str, Any]:
    """The numbers of rows, and what the stages have found."""
    snapshot, contract = outcome.snapshot, outcome.contract
    rows, quarantined = {}, 0
    if snapshot:
        rows, quarantined = snapshot.rows, snapshot.rejected
    if contract:
        rows, quarantined = contract.rows, contract.quarantined
    results = (snapshot, contract, outcome.training, outcome.evaluation)
    return {
        "counts": rows,
        "quarantined": quarantined,
        "findings": [finding for part in results if part for finding in part.findings],
    }


def _judged(
    evaluation: EvaluationRecord | None,
    compared: ModelComparison | None,
    learned: Task,
) -> dict[str, Any]:
    """Metrics, gates and slices, beside the champion's."""
    metrics = evaluation.metrics if evaluation else {}
    slices = evaluation.slices if evaluation else {}
    both = compared.metrics if compared else {}
    champions = {name: values[0] for name, values in both.items()}
    differences = compared.differences if compared else ()
    return {
        "figures": learned.answers.figures(metrics) if evaluation else "",
        "highlights": learned.answers.highlights(metrics, slices) if evaluation else [],
        "gates": [
            {
                "gate": gate.name,
                "result": "passed" if gate.passed else "failed",
                "compared": gate.figures,
                "reason": gate.reason,
            }
            for gate in (evaluation.gates if evaluation else ())
        ],
        "headline": headline(metrics, champions, learned),
        "metrics": metric_rows(metrics, champions, learned),
        "slices": slice_tables(slices),
        "compared": compared,
        "changes": [d for d in differences if d.kind in {"spec", "data", "code"}],
        "suspects": int(metrics.get(SUSPECTS) or 0),
    }


def _candidates(choice: ChoiceRecord | None) -> list[dict[str, Any]]:
    """The models that were trained to choose from, as rows of a table."""
    if choice is None:
        return []
    return [
        {
            "model": one.builder,
            "val loss": one.val_loss,
            f"val {one.score.replace('_', ' ')}": one.val_score,
            "epochs": one.epochs,
            "MB": one.megabytes,
            "kept": "yes" if one.builder == choice.kept else "no",
        }
        for one in choice.candidates
    ]


def _explanations(outcome: RunSoFar, home: Home) -> list[str]:
    """Sentences on each method: its check, or why it is not used."""
    training, evaluation = outcome.training, outcome.evaluation
    if training is None or evaluation is None:
        return []
    if reason := why_not(training.description):
        return [f"They are not explained: {reason}."]
    name, metrics = outcome.spec.name, evaluation.metrics
    if MEASURED in metrics:  # also of a run that registered nothing
        return sentences(verdicts_of(metrics))
    return sentences(sanity_of(name, outcome.version, home.ledger))


def _fields(spec: PipelineSpec) -> dict[str, Any]:
    """All fields of the pipeline, and those that differ from the defaults."""
    named = spec.model_dump(include={"name", "medium", "task"})
    model, data = {"builder": spec.model.builder}, {"source": spec.data.source}
    default = PipelineSpec.model_validate({**named, "model": model, "data": data})
    recipe, usual = fields_of(spec), fields_of(default)
    chosen = {
        key: value
        for key, value in recipe.items()
        if usual.get(key) != value and not key.startswith("deploy.")
    }
    return {"recipe": recipe, "chosen": chosen}


def log_report(run_id: str, shown: Mapping[str, Any], home: Home) -> None:
    """Write the HTML page of a run, keep it in the store, and log it with the run.

    The page comes last: a run that has it needs nothing more.
    """
    home.tracking.log_tags(run_id, {TAG: REPORT_FILE})
    keep_page(run_id, render(REPORT_FILE, **shown), home)


def _against_champion(outcome: RunSoFar, home: Home) -> ModelComparison | None:
    """How a version differs from the champion that it was compared with."""
    champion = outcome.evaluation and outcome.evaluation.champion_version
    if not champion or not outcome.version or champion == outcome.version:
        return None
    name, numbers = outcome.spec.name, (champion, outcome.version)
    first, second = (home.ledger.version(name, number) for number in numbers)
    return compare(first, second, home)


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
    home = Home(settings)
    tracking, ledger = home.tracking, home.ledger
    if {"/", "@"} & set(name):
        version = ledger.find(name)
        if ledger.disposals.is_collected(version):
            raise collected_error(version, IntegrityError)
        run_id = version.run_id
    else:
        run_id = tracking.newest_run(name, TAG)
    report = report_of(run_id, tracking) if run_id else None
    if report is None:
        model = model_of(name)
        if model not in ledger.models():
            find_pipeline(model, settings)
        raise NotFoundError(
            f"{name} has no report.",
            f"Run `headrace run {model}`: a run that trains ends with one.",
        )
    return report


def report_of(run_id: str, tracking: Tracking) -> str | None:
    """The path or URI of the report of a run in MLflow; None if it has none.

    Raises:
        DependencyError: MLflow does not answer.
    """
    try:
        tracking.run_file(run_id, REPORT_FILE)
    except IntegrityError:
        return None
    place = f"{tracking.run_place(run_id)}/{REPORT_FILE}"
    return str(local_path(place) or place)
