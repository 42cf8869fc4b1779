"""A run as a process on this machine, which frees its memory when it ends."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from typing import Any

from headrace.errors import DependencyError
from headrace.records import DEFAULT_TASK
from headrace.tasks import task as task_named
from headrace_flows.backfilling.runs import Task

_FIELDS = (
    *("status", "reason", "version", "run_id", "flow_run_id", "weights_digest"),
    *("seconds", "experiment", "overrides"),
)


class Here:
    """Runs tasks as ``headrace run``, with the Prefect server of this process."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopping = False

    def run(self, task: Task, key: str) -> dict[str, Any]:
        """Run a task; returns the main fields of its answer, and its exit code."""
        process = subprocess.Popen(  # noqa: S603
            [
                *(sys.executable, "-m", "headrace_cli", "run"),
                *task.arguments,
                *(() if task.promotes else ("--register-only",)),
                "--json",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # it gets Ctrl-C once, from `stop`
        )
        self._running.add(process)
        if self._is_stopping:
            process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
        self._running.discard(process)
        try:
            summary = json.loads(out)
        except ValueError:
            summary = {
                "status": "error",
                "reason": f"its output is no JSON: {out[-200:]!r}",
            }
        code = process.returncode
        if code < 0:
            reason = f"it was ended by signal {-code}"
            summary = {"status": "error", "reason": reason}
        metrics = summary.get("metrics") or {}
        headline = task_named(summary.get("task", DEFAULT_TASK)).headline
        return {
            **{name: summary.get(name) for name in _FIELDS},
            headline: metrics.get(headline),
            "exit_code": code if code >= 0 else DependencyError.exit_code,
        }

    def stop(self) -> None:
        """Interrupt the running processes; each ends in order."""
        self._is_stopping = True
        for process in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
