"""The summary of a run: the JSON object that commands answer with."""

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
from headrace.gates.supported import supported_by_first
from headrace.planning import find_finished
from headrace.records import EvaluationRecord, StageReport
from headrace.settings import Settings, variable
from headrace.stages.promotion.registry import aliases_of
from headrace_flows.run import STAGES, UNCHANGED, Run
from headrace_ops import live

INTERRUPTED = 130
log = logging.getLogger("headrace")


def conclude(run: Run, state: Any) -> tuple[dict[str, Any], int]:
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


def failed(run: Run, error: HeadraceError) -> tuple[dict[str, Any], int]:
    """The summary of a run that ended with an error, and the command's exit code."""
    log.debug(hide_credentials("".join(traceback.format_exception(error))))
    status = "refused" if isinstance(error, Refusal) else "error"
    summary = summarise(run, status=status, reason=str(error))
    summary["error"] = describe_error(error)
    return summary, error.exit_code


def describe_error(error: Exception) -> dict[str, str]:
    """The kind, message and action of an error, as JSON."""
    message, action = str(error) or type(error).__name__, ""
    if isinstance(error, HeadraceError):
        message, action = error.message, error.action
    return {"kind": type(error).__name__, "message": message, "action": action}


def summarise(run: Run, *, status: str, reason: str) -> dict[str, Any]:
    """The summary of a run, as far as it has come."""
    done = {report.name for report in run.reports}
    why = "the run ended before it"
    skipped = [
        StageReport(name=name, state="skipped", why=why, seconds=0)
        for name in STAGES
        if name not in done
    ]
    return {
        "pipeline": run.spec.name,
        "task": run.spec.task,
        "status": status,
        "reason": reason,
        "model": run.spec.name,
        "version": run.version,
        "experiment": bool(run.overrides),
        "overrides": list(run.overrides),
        "aliases": list(run.promotion.aliases) if run.promotion else [],
        **_evaluation(run.evaluation),
        "supported_gates": _supported(run),
        **_data(run),
        "stages": [report.model_dump() for report in [*run.reports, *skipped]],
        "repairs": [repair.model_dump() for repair in run.repairs],
        "run_id": run.training.run_id if run.training else None,
        "flow_run_id": run.flow_run_id or None,
        "weights_digest": run.training.weights_digest if run.training else None,
        **_privacy(run),
        **_stopped_early(run),
        "seconds": round(time.perf_counter() - run.started, 3),
        "links": links(run),
    }


def finished(run: Run) -> tuple[dict[str, Any], int] | None:
    """The summary of a run with nothing left to do, and the command's exit code.

    None if a stage has work to do.
    """
    with run.plan.ledger.reading_once():
        return _finished(run)


def _finished(run: Run) -> tuple[dict[str, Any], int] | None:
    last = find_finished(run.plan, register_only=run.register_only)
    if last is None:
        return None
    run.snapshot, run.contract = last.snapshot, last.contract
    run.training, run.evaluation = last.training, last.evaluation
    run.reports = [
        StageReport(name=name, state="cached", why=UNCHANGED, seconds=0)
        for name in STAGES
    ]
    summary = summarise(run, status=last.status, reason=last.reason)
    aliases = aliases_of(run.spec.name, run.plan.ledger)
    names = [name for name, number in aliases.items() if number == last.version]
    summary |= {"version": last.version, "aliases": names}
    return summary, int(last.status == "refused")


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


def _supported(run: Run) -> list[dict[str, Any]]:
    """Stricter thresholds that a first run supports by its own intervals."""
    if run.evaluation is None or run.overrides:
        return []
    plan = run.plan
    found = supported_by_first(run.spec, plan.folder, run.evaluation, plan.settings)
    return [one.model_dump() for one in found]


def _privacy(run: Run) -> dict[str, Any]:
    """The guarantee of a private training; nothing for any other."""
    privacy = run.training.privacy if run.training else None
    return {"privacy": privacy.model_dump()} if privacy else {}


def _stopped_early(run: Run) -> dict[str, Any]:
    """Where a training ended before its last epoch; nothing for any other."""
    metrics = run.training.metrics if run.training else {}
    if "stopped_epoch" not in metrics:
        return {}
    names = {"epoch": "stopped_epoch", "best_epoch": "best_epoch"}
    epochs = {key: int(metrics[name]) for key, name in names.items()}
    return {"stopped_early": {**epochs, "epochs": run.spec.training.epochs}}


def _data(run: Run) -> dict[str, Any]:
    snapshot, contract = run.snapshot, run.contract
    results = (snapshot, contract, run.training, run.evaluation)
    findings = [finding for part in results if part for finding in part.findings]
    findings += run.plan.edited_law()
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


def links(run: Run, *, for_page: bool = False) -> dict[str, str]:
    """The pages of a run in MLflow and Prefect, its Data Docs and, for a page, more.

    Args:
        for_page: whether a page shows them, where ``file:`` links cannot be opened.
    """
    settings, found = run.plan.settings, dict[str, str]()
    is_live = for_page or "mlflow" in live.live_links(settings)
    is_served = is_live and live.are_pages_served(settings)
    server = mlflow_url(settings)
    if run.training is not None:
        place = f"experiments/{run.training.experiment_id}/runs/{run.training.run_id}"
        found["mlflow"] = mlflow_page(settings, place)
    if run.flow_run_url:
        found["prefect"] = run.flow_run_url
    if run.contract is not None:
        docs = run.contract.docs_uri
        found["data_docs"] = Path(docs).as_uri() if run.plan.store.is_local else docs
        if is_served:
            found["data_docs"] = server + live.data_docs_path(docs)
    if for_page and is_served and run.training is not None:
        found["report"] = server + live.report_path(run.training.run_id)
    if for_page and run.version:
        place = f"models/{run.spec.name}/versions/{run.version}"
        found["model"] = mlflow_page(settings, place)
    return found


def mlflow_page(settings: Settings, place: str) -> str:
    """The address of a page of MLflow, in its view of model training."""
    return f"{mlflow_url(settings)}/#/{place}?workflowType=machine_learning"


def mlflow_url(settings: Settings) -> str:
    """Where MLflow's pages are, now or after ``headrace up``; without a password."""
    if settings.mlflow_ui_url:
        return settings.mlflow_ui_url.rstrip("/")
    tracking = urlsplit(variable("MLFLOW_TRACKING_URI"))
    if tracking.scheme in {"http", "https"}:
        host = tracking.netloc.rpartition("@")[2]
        return urlunsplit((tracking.scheme, host, tracking.path, "", "")).rstrip("/")
    started = live.live_links(settings).get("mlflow")
    return started or f"http://127.0.0.1:{live.UI_PORTS['mlflow']}"
