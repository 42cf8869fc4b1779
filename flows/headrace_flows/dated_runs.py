"""Who runs one date of a backfill.

A date is run by a process on this machine or, if the pipeline is deployed, by a worker.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from headrace import errors
from headrace.errors import (
    ContractError,
    DependencyError,
    Refusal,
    SourceError,
    UsageError,
)
from headrace.pipeline import PipelineSpec
from headrace.planning import Plan
from headrace.records import DEFAULT_TASK
from headrace.settings import Settings
from headrace.stages.registration import find_version
from headrace.state.children import ending
from headrace.state.home import Home
from headrace.tasks import task as task_named
from headrace_flows.client import error_in, start_once, wait_for, work_of
from headrace_flows.deployments import packed
from headrace_ops.prefect_errors import translate_errors

_FIELDS = (
    *("status", "reason", "version", "run_id", "flow_run_id", "weights_digest"),
    *("seconds", "experiment", "overrides"),
)
_CODES = {
    **{"promoted": 0, "registered": 0, "unchanged": 0},
    **{"refused": 1, "cancelled": 130},
}


@dataclass(frozen=True, slots=True)
class BackfillTask:
    """The run of one date.

    Attributes:
        arguments: the arguments of ``headrace run`` for it.
        promotes: whether its version may become champion.
    """

    date: str
    spec: PipelineSpec
    folder: Path
    arguments: tuple[str, ...]
    promotes: bool = False


# Runs a task, whose key in the store it is given too; returns its outcome.
Runner: TypeAlias = Callable[[BackfillTask, str], dict[str, Any]]


def run_here(task: BackfillTask, _key: str = "") -> dict[str, Any]:
    """Run a task as a process, ``headrace run``, which frees its memory at its end.

    It uses the Prefect server of this process.

    Returns:
        the main fields of its answer, and its exit code.

    Raises:
        KeyboardInterrupt: on Ctrl-C, once it has ended in order.
    """
    command = [sys.executable, "-m", "headrace_cli", "run", *task.arguments]
    command += ["--json"] if task.promotes else ["--json", "--register-only"]
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # it gets Ctrl-C once, from here
    ) as process:
        try:
            out, _ = process.communicate()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
    code = process.returncode
    try:
        summary = json.loads(out)
    except ValueError:  # it had no time to answer
        summary = {"status": "error", "reason": f"it {ending(code, out.encode())}"}
    headline = task_named(summary.get("task", DEFAULT_TASK)).headline
    return {
        **{name: summary.get(name) for name in _FIELDS},
        **refused_for(summary["status"], (summary.get("error") or {}).get("kind", "")),
        headline: (summary.get("metrics") or {}).get(headline),
        "exit_code": code if code >= 0 else DependencyError.exit_code,
    }


def run_deployed(
    deployment: Any, settings: Settings, task: BackfillTask, key: str
) -> dict[str, Any]:
    """Run a task on a worker, by the deployment ``train/<pipeline>``.

    A flow run of the task that is under way is waited for. On Ctrl-C it goes on.

    Args:
        deployment: Prefect's id of the deployment.
        settings: with the store and the ledger.

    Raises:
        HeadraceError: the server refuses or loses the run, or the store or the ledger
            has no outcome.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    plan = Plan(task.spec, task.folder, Home(settings))
    with translate_errors(), get_client(sync_client=True) as client:
        start = partial(
            client.create_flow_run_from_deployment,
            deployment,
            parameters={
                "pipeline": task.spec.model_dump(mode="json"),
                "folder": packed(task.folder, plan.home.store),
                "register_only": not task.promotes,
            },
            name=f"{task.spec.name} {task.date}",
        )
        try:
            run = start_once(client, work_of(settings, f"backfill-{key}"), start)
            ended = wait_for(client, run, task.spec.name)
        except ObjectNotFound as error:
            raise UsageError(
                f"Prefect no longer has the deployment train/{task.spec.name}.",
                f"Run `headrace deploy {task.spec.name}`.",
            ) from error
    return _outcome(plan, ended)


def _outcome(plan: Plan, ended: Any) -> dict[str, Any]:
    status, error = _status(ended.state), error_in(ended.state)
    overrides = list(plan.law.overrides)
    outcome = {
        "status": status,
        "reason": ended.state.message,
        "flow_run_id": str(ended.id),
        "exit_code": _CODES.get(status, 3),
        "seconds": round(ended.total_run_time.total_seconds(), 3),
        "experiment": bool(overrides),
        "overrides": overrides,
        **refused_for(status, type(error).__name__ if error else ""),
    }
    if training := plan.last.training:
        name, ledger = plan.spec.name, plan.home.ledger
        version = find_version(name, training, ledger)
        outcome |= {
            "version": version.version if version else None,
            "run_id": training.run_id,
            "weights_digest": training.weights_digest,
        }
    return outcome


def refused_for(status: str, error: str) -> dict[str, str]:
    """A field that says what a run was refused for, its data or its gates.

    Args:
        status: of the run.
        error: the kind of the error that ended it; empty where its gates failed.
    """
    if status != "refused":
        return {}
    if not error:
        return {"refused_for": "gates"}
    kind = getattr(errors, error, Refusal)
    is_data = issubclass(kind, (ContractError, SourceError))
    return {"refused_for": "data"} if is_data else {}


def _status(state: Any) -> str:
    if state.is_cancelled():
        return "cancelled"
    name = str(state.name).lower()
    if isinstance(error_in(state), Refusal):
        return "refused"
    return name if name in _CODES else "error"
