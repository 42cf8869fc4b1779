"""The summary of a run, which commands answer with, and the links to its pages."""

from __future__ import annotations

import logging
import math
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from headrace.display.credentials import hide_credentials
from headrace.errors import HeadraceError, Refusal
from headrace.gates.supported import Supported, supported_by_first
from headrace.planning.finished import Finished, find_finished
from headrace.records import (
    ChoiceRecord,
    ContractRecord,
    Finding,
    GateResult,
    PrivacyRecord,
    Record,
    SnapshotRecord,
    StageReport,
)
from headrace.settings import Settings
from headrace.stages.promotion.registry import aliases_of
from headrace.state.folders import card_key
from headrace.use.backbones import doubts_of
from headrace.use.checking import doubtful_gates
from headrace_flows.run import STAGES, UNCHANGED, Run
from headrace_ops import live

if TYPE_CHECKING:
    from headrace.monitoring.records import MonitorRecord

INTERRUPTED = 130
log = logging.getLogger("headrace")


class Failure(Record):
    """An error, as JSON."""

    kind: str
    message: str
    action: str


class SnapshotFacts(Record):
    """The data of a run; ``quarantined`` by the contract, else by the decoding."""

    digest: str
    rows: dict[str, int]
    quarantined: int
    uri: str
    source: str
    attribution: str
    notes: tuple[str, ...]


class StoppedEarly(Record):
    """Where a training ended before its last epoch."""

    epoch: int
    best_epoch: int
    epochs: int


class KeptEpoch(Record):
    """The epoch of a whole training whose weights the model has, if not the last."""

    epoch: int
    epochs: int


def _if_any() -> Any:
    """A field that is left out where there is nothing to say."""
    return Field(default=None, exclude_if=lambda value: value is None)


class Summary(Record):
    """A run, as far as it has come.

    Attributes:
        metrics: those that are finite.
        supported_gates: stricter thresholds that a first run's intervals support.
        links: the pages of the run.
        has_report: whether `headrace open` has one of the run.
    """

    pipeline: str
    task: str
    status: str
    reason: str
    model: str
    version: int | None
    experiment: bool
    overrides: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    metrics: dict[str, float] = Field(default_factory=dict)
    slices: dict[str, dict[str, float | None]] = Field(default_factory=dict)
    gates: tuple[GateResult, ...] = ()
    supported_gates: tuple[Supported, ...] = ()
    snapshot: SnapshotFacts | None
    warnings: tuple[Finding, ...]
    stages: tuple[StageReport, ...]
    run_id: str | None
    flow_run_id: str | None
    weights_digest: str | None
    choice: ChoiceRecord | None = _if_any()
    privacy: PrivacyRecord | None = _if_any()
    stopped_early: StoppedEarly | None = _if_any()
    kept_epoch: KeptEpoch | None = _if_any()
    seconds: float
    links: dict[str, str]
    error: Failure | None = _if_any()
    has_report: bool = Field(default=False, exclude=True)


def conclude(run: Run, state: Any) -> tuple[Summary, int]:
    """The summary of a run whose flow has ended, and the command's exit code.

    Args:
        run: the run.
        state: the flow's final state in Prefect.

    Raises:
        what the flow raised, unless it is an error that a user is meant to read.
    """
    if state.is_cancelled():
        reason = "Interrupted. Run the same command to go on."
        return summarise(run, status="cancelled", reason=reason), INTERRUPTED
    promotion = run.promotion
    if promotion is not None:
        summary = summarise(run, status=promotion.status, reason=promotion.reason)
        return summary, 1 if promotion.status == "refused" else 0
    error = state.result(raise_on_failure=False)
    if not isinstance(error, HeadraceError):
        raise error if isinstance(error, BaseException) else RuntimeError(state.message)
    return failed(run, error)


def failed(run: Run, error: HeadraceError) -> tuple[Summary, int]:
    """The summary of a run that ended with an error, and the command's exit code."""
    log.debug(hide_credentials("".join(traceback.format_exception(error))))
    run.error = error
    status = "refused" if isinstance(error, Refusal) else "error"
    kind = type(error).__name__
    failure = Failure(kind=kind, message=error.message, action=error.action)
    summary = summarise(run, status=status, reason=str(error), error=failure)
    return summary, error.exit_code


def summarise(run: Run, *, status: str, reason: str, **others: Any) -> Summary:
    """The summary of a run, as far as it has come; `others` are fields of it."""
    done = {report.name for report in run.reports}
    why = "the run ended before it"
    skipped = [
        StageReport(name=name, state="skipped", why=why, seconds=0)
        for name in STAGES
        if name not in done
    ]
    snapshot, contract, training = run.snapshot, run.contract, run.training
    parts = [part for part in (snapshot, contract, training, run.evaluation) if part]
    findings = [finding for part in parts for finding in part.findings]
    fields: dict[str, Any] = {
        **_of_evaluation(run),
        **_epochs_of(run),
        "aliases": run.promotion.aliases if run.promotion else (),
        "version": run.version,
        **others,
    }
    return Summary(
        pipeline=run.spec.name,
        task=run.spec.task,
        status=status,
        reason=reason,
        model=run.spec.name,
        experiment=bool(run.overrides),
        overrides=run.overrides,
        snapshot=_of_data(snapshot, contract) if snapshot else None,
        warnings=(
            *run.broken,
            *doubtful_gates(run.spec),
            *doubts_of(run.spec, run.plan.home),
            *findings,
            *run.plan.other_law(),
        ),
        stages=(*run.reports, *skipped),
        run_id=training.run_id if training else None,
        flow_run_id=run.flow_run_id or None,
        weights_digest=training.weights_digest if training else None,
        choice=run.choice,
        privacy=training.privacy if training else None,
        seconds=round(time.perf_counter() - run.started, 3),
        links=links(run),
        has_report=run.has_report,
        **fields,
    )


def finished(run: Run) -> tuple[Summary, int] | None:
    """The summary of a run with nothing left to do, and the command's exit code.

    None if a stage has work to do, a version that it goes on from is broken, or the
    report is to be made again.
    """
    ledger = run.plan.home.ledger
    with ledger.database.reading_once():
        ended = find_finished(run.plan, register_only=run.register_only)
        run.has_report = ended is not None and _has_report(run, ended.version)
    if ended is not None:
        run.check_versions()
    if ended is None or run.broken or not run.has_report:
        return None
    with ledger.database.reading_once():
        return _summarise_finished(run, ended)


def _has_report(run: Run, number: int) -> bool:
    """Whether a version's run has its report; a full disk keeps none."""
    home = run.plan.home
    version = home.ledger.version(run.spec.name, number)
    return home.store.exists(card_key(version.run_id))


def _summarise_finished(run: Run, ended: Finished) -> tuple[Summary, int]:
    last = run.plan.last
    run.snapshot, run.contract = last.snapshot, last.contract
    run.training, run.evaluation = last.training, last.evaluation
    run.reports = [
        StageReport(name=name, state="cached", why=UNCHANGED, seconds=0)
        for name in STAGES
    ]
    aliases = aliases_of(run.spec.name, run.plan.home.ledger)
    names = [name for name, number in aliases.items() if number == ended.version]
    summary = summarise(run, **ended._asdict(), aliases=names)
    return summary, int(ended.status == "refused")


def _of_evaluation(run: Run) -> dict[str, Any]:
    evaluation, plan = run.evaluation, run.plan
    if evaluation is None:
        return {}
    slices = evaluation.slices.items()
    fields: dict[str, Any] = {
        "metrics": {k: v for k, v in evaluation.metrics.items() if math.isfinite(v)},
        "slices": {
            name: {k: v if math.isfinite(v) else None for k, v in values.items()}
            for name, values in slices
        },
        "gates": evaluation.gates,
    }
    if not run.overrides:
        where = plan.folder, evaluation, plan.settings.project
        fields["supported_gates"] = supported_by_first(run.spec, *where)
    return fields


def _epochs_of(run: Run) -> dict[str, Any]:
    """Where a training ended, or which epoch it kept, if either is not the last."""
    metrics = run.training.metrics if run.training else {}
    epochs = run.spec.training.epochs
    best = int(metrics.get("best_epoch", epochs))
    if stopped := int(metrics.get("stopped_epoch", 0)):
        ended = StoppedEarly(epoch=stopped, best_epoch=best, epochs=epochs)
        return {"stopped_early": ended}
    return {"kept_epoch": KeptEpoch(epoch=best, epochs=epochs)} if best < epochs else {}


def _of_data(
    snapshot: SnapshotRecord, contract: ContractRecord | None
) -> SnapshotFacts:
    rows = contract.rows if contract else snapshot.rows
    return SnapshotFacts(
        rows={split: rows.get(split, 0) for split in ("train", "val", "test")},
        quarantined=contract.quarantined if contract else snapshot.rejected,
        **snapshot.model_dump(
            include={"digest", "uri", "source", "attribution", "notes"}
        ),
    )


def links(run: Run, *, for_page: bool = False) -> dict[str, str]:
    """The pages of a run in MLflow and Prefect, its Data Docs and, for a page, more.

    Those of a server that this home does not have now are left out.

    Args:
        for_page: whether a page shows them, where ``file:`` links cannot be opened.
    """
    settings, pages = run.plan.settings, dict[str, str]()
    server = live.live_links(settings).get("headrace", "")
    if run.training is not None:
        place = f"experiments/{run.training.experiment_id}/runs/{run.training.run_id}"
        pages["mlflow"] = live.mlflow_page(settings, place)
    pages["prefect"] = run.flow_run_url
    if run.contract is not None:
        docs, is_local = run.contract.docs_uri, run.plan.home.store.is_local
        if server:
            pages["data_docs"] = server + live.data_docs_path(docs)
        elif not (is_local and for_page):
            pages["data_docs"] = Path(docs).as_uri() if is_local else docs
    if for_page and run.training is not None and server:
        pages["report"] = server + live.report_path(run.training.run_id)
    if for_page and run.version:
        place = f"models/{run.spec.name}/versions/{run.version}"
        pages["model"] = live.mlflow_page(settings, place)
    return {name: page for name, page in pages.items() if page}


def with_pages(record: MonitorRecord, settings: Settings) -> MonitorRecord:
    """The report with a link to its run in MLflow."""
    place = f"experiments/{record.experiment_id}/runs/{record.run_id}"
    page = live.mlflow_page(settings, place) if record.run_id else ""
    if not page:
        return record
    return record.model_copy(update={"links": {**record.links, "mlflow": page}})
