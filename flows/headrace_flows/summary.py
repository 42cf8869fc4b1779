"""What a run answers: one object for machines, a page of text for people."""

from __future__ import annotations

import logging
import math
import time
import traceback
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from headrace.credentials import hide_credentials
from headrace.errors import HeadraceError, Refusal
from headrace.planning import Finished
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)
from headrace.settings import Settings, variable
from headrace.stages.promotion import aliases_of
from headrace_flows.run import STAGES, Run
from headrace_ops import live

INTERRUPTED = 130
log = logging.getLogger("headrace")


def conclude(run: Run, state: Any) -> tuple[dict[str, Any], int]:
    """The summary of a run whose flow has ended, and the command's exit code.

    Args:
        run: with what it has done.
        state: the flow's last, as Prefect has it.

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


def failed(run: Run, error: HeadraceError) -> tuple[dict[str, Any], int]:
    """The summary of a run that an error has ended, and the command's exit code."""
    log.debug(hide_credentials("".join(traceback.format_exception(error))))
    status = "refused" if isinstance(error, Refusal) else "error"
    summary = summarise(run, status=status, reason=str(error))
    summary["error"] = {
        "kind": type(error).__name__,
        "message": error.message,
        "action": error.action,
    }
    return summary, error.exit_code


def summarise(run: Run, *, status: str, reason: str) -> dict[str, Any]:
    """The summary of a run that went through the flow."""
    done = {report.name for report in run.reports}
    skipped = [
        StageReport(
            name=name, state="skipped", why="the run ended before it", seconds=0
        )
        for name in STAGES
        if name not in done
    ]
    version = run.registration.version if run.registration else None
    promotion = run.promotion
    return {
        **_head(run, status, reason, version),
        "aliases": list(promotion.aliases) if promotion else [],
        **_evaluation(run.evaluation),
        **_data(run.snapshot, run.contract, run.training, run.evaluation),
        "stages": [report.model_dump() for report in [*run.reports, *skipped]],
        "repairs": [repair.model_dump() for repair in run.repairs],
        "run_id": run.training.run_id if run.training else None,
        "flow_run_id": run.flow_run_id or None,
        "weights_digest": run.training.weights_digest if run.training else None,
        "seconds": round(time.perf_counter() - run.started, 3),
        "links": links(
            run.plan.settings,
            run.training,
            run.contract,
            run.flow_run_url,
            run.plan.store,
        ),
    }


def summarise_finished(run: Run, finished: Finished) -> dict[str, Any]:
    """The summary of a run that had nothing left to do."""
    aliases = aliases_of(run.spec.name, run.plan.ledger)
    why = "nothing it depends on has changed"
    return {
        **_head(run, finished.status, finished.reason, finished.version),
        "aliases": [
            name for name, number in aliases.items() if number == finished.version
        ],
        **_evaluation(finished.evaluation),
        **_data(
            finished.snapshot, finished.contract, finished.training, finished.evaluation
        ),
        "stages": [
            StageReport(name=name, state="cached", why=why, seconds=0).model_dump()
            for name in STAGES
        ],
        "repairs": [repair.model_dump() for repair in run.repairs],
        "run_id": finished.training.run_id,
        "flow_run_id": None,
        "weights_digest": finished.training.weights_digest,
        "seconds": round(time.perf_counter() - run.started, 3),
        "links": links(
            run.plan.settings, finished.training, finished.contract, "", run.plan.store
        ),
    }


def _head(run: Run, status: str, reason: str, version: int | None) -> dict[str, Any]:
    overrides = run.plan.law.overrides
    return {
        "pipeline": run.spec.name,
        "task": run.spec.task,
        "status": status,
        "reason": reason,
        "model": run.spec.name,
        "version": version,
        "experiment": bool(overrides),
        "overrides": list(overrides),
    }


def _evaluation(evaluation: EvaluationRecord | None) -> dict[str, Any]:
    if evaluation is None:
        return {"metrics": {}, "slices": {}, "gates": [], "suspects": []}
    return {
        "metrics": {k: v for k, v in evaluation.metrics.items() if math.isfinite(v)},
        "slices": {
            name: {k: v if math.isfinite(v) else None for k, v in values.items()}
            for name, values in evaluation.slices.items()
        },
        "gates": [gate.model_dump() for gate in evaluation.gates],
        "suspects": [suspect.model_dump() for suspect in evaluation.suspects],
    }


def _data(
    snapshot: SnapshotRecord | None,
    contract: ContractRecord | None,
    *judged: TrainingRecord | EvaluationRecord | None,
) -> dict[str, Any]:
    results = [result for result in (snapshot, contract, *judged) if result]
    findings = [finding for result in results for finding in result.findings]
    rows = contract.rows if contract else snapshot.rows if snapshot else {}
    return {
        "snapshot": snapshot
        and {
            "digest": snapshot.digest,
            "rows": {split: rows.get(split, 0) for split in ("train", "val", "test")},
            "quarantined": contract.quarantined if contract else snapshot.rejected,
            "uri": snapshot.uri,
            "source": snapshot.source,
            "attribution": snapshot.attribution,
            "notes": list(snapshot.notes),
        },
        "warnings": [finding.model_dump() for finding in findings],
    }


def links(
    settings: Settings,
    training: TrainingRecord | None,
    contract: ContractRecord | None,
    flow_run_url: str,
    store: Any,
) -> dict[str, str]:
    """Where to look: pages of the UIs, the Data Docs, the snapshot."""
    found: dict[str, str] = {}
    if training is not None:
        place = f"experiments/{training.experiment_id}/runs/{training.run_id}"
        found["mlflow"] = mlflow_page(settings, place)
    if flow_run_url:
        found["prefect"] = flow_run_url
    if contract is not None:
        docs = contract.docs_uri
        found["data_docs"] = Path(docs).as_uri() if store.is_local else docs
        if "mlflow" in live.live_links(settings) and live.are_pages_served(settings):
            found["data_docs"] = mlflow_url(settings) + live.data_docs_path(docs)
    return found


def page_links(run: Run) -> dict[str, str]:
    """The links of a run for its pages, from which a file's could not be opened."""
    settings, training, contract = run.plan.settings, run.training, run.contract
    found = links(settings, training, contract, run.flow_run_url, run.plan.store)
    if live.are_pages_served(settings):
        server = mlflow_url(settings)
        if contract is not None:
            found["data_docs"] = server + live.data_docs_path(contract.docs_uri)
        if training is not None:
            found["report"] = server + live.report_path(training.run_id)
    return found


def mlflow_page(settings: Settings, place: str) -> str:
    """The address of a page of MLflow, in its view of model training."""
    return f"{mlflow_url(settings)}/#/{place}?workflowType=machine_learning"


def mlflow_url(settings: Settings) -> str:
    """Where MLflow's pages are, now or after ``headrace up``; without a password."""
    tracking = urlsplit(variable("MLFLOW_TRACKING_URI"))
    if tracking.scheme in {"http", "https"}:
        host = tracking.netloc.rpartition("@")[2]
        return urlunsplit((tracking.scheme, host, tracking.path, "", "")).rstrip("/")
    started = live.live_links(settings).get("mlflow")
    return started or f"http://127.0.0.1:{live.UI_PORTS['mlflow']}"
