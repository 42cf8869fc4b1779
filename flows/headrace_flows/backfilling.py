"""Runs of one pipeline over a range of dates, without those that are done.

A date is run by a process on this machine (`Here`) or, if the pipeline is deployed, by
a worker (`There`). Outcomes are kept in the store. Runs come in the order of the dates,
since each is compared with the champion that the one before has left; what does not
depend on it, up to the training, may be done ahead for several dates at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import re
import signal
import subprocess
import sys
import threading
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from headrace import errors
from headrace.data.sources.identity import source_identity
from headrace.errors import DependencyError, HeadraceError, Refusal, UsageError
from headrace.planning import Plan
from headrace.records import DEFAULT_TASK, SnapshotRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.registration import find_version
from headrace.state.home import Home
from headrace.state.packing import pack_folder
from headrace.tasks import task as task_named
from headrace_flows.client import Stopped, start_once, wait_for, work_of
from headrace_flows.run import record_folder
from headrace_ops.prefect_errors import translate_errors

if TYPE_CHECKING:
    from headrace_flows.spreading import Piece, Place

DATE = "{date}"
Step = Literal["day", "week", "month"]
DONE_CODES = {0, 1}  # a refused run is done, too
_FIELDS = (
    *("status", "reason", "version", "run_id", "flow_run_id", "weights_digest"),
    *("seconds", "experiment", "overrides"),
)
_RAISED = re.compile(r"exception: (\w+):")
log = logging.getLogger("headrace")
_CODES = {
    **{"promoted": 0, "registered": 0, "unchanged": 0},
    **{"refused": 1, "cancelled": 130},
}


def dates(first: date, last: date, step: Step) -> Iterator[date]:
    """The dates from the first to the last, in steps; the last only if a step meets it.

    A month later is the same day of the month, or the last day of a shorter month.
    """
    for number in itertools.count():
        try:
            day = _later(first, number, step)
        except (OverflowError, ValueError):  # after the year 9999
            return
        if day > last:
            return
        yield day


def _later(first: date, number: int, step: Step) -> date:
    if step != "month":
        return first + timedelta(days=number * (7 if step == "week" else 1))
    years, month = divmod(first.month - 1 + number, 12)
    year, month = first.year + years, month + 1
    return date(year, month, min(first.day, monthrange(year, month)[1]))


def fill_in(overrides: Sequence[str], day: date) -> list[str]:
    """The overrides of one date.

    Raises:
        UsageError: no override has ``{date}`` in it, so all runs would be the same.
    """
    if not any(DATE in text for text in overrides):
        raise UsageError(
            f"No --set contains {DATE}, so all runs would be the same.",
            f"Add it to one, for example --set data.source=/data/{DATE}.npz.",
        )
    return [text.replace(DATE, day.isoformat()) for text in overrides]


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


class Backfill:
    """The runs of a range.

    Args:
        tasks: one for each date.
        settings: with the store and the ledger.
        report: called with the outcome of each date when it ends.
    """

    def __init__(
        self,
        tasks: Sequence[BackfillTask],
        settings: Settings,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.tasks = tasks
        self.outcomes: dict[str, dict[str, Any]] = {}
        self._settings = settings
        self._store = Home(settings).anchored
        self._report = report

    def left(self) -> list[BackfillTask]:
        """The tasks that are not done yet. Sets the outcomes of the others."""
        tasks = []
        for task in self.tasks:
            outcome = self._store.read_json(_place(task, self._key(task)))
            if isinstance(outcome, dict):
                self.outcomes[task.date] = {**outcome, "skipped": True}
            else:
                tasks.append(task)
        return tasks

    def run(
        self, tasks: Sequence[BackfillTask], runner: Runner, place: Place | None = None
    ) -> None:
        """Run tasks, the oldest first.

        Args:
            tasks: one for each date.
            runner: runs them.
            place: where the trainings are done ahead; None: they are not.

        Raises:
            KeyboardInterrupt: on Ctrl-C, once the running task has ended.
        """
        with contextlib.ExitStack() as stack:
            ahead: list[Future[None]] = []
            if place is not None:
                from headrace_flows.spreading import begun

                pieces = [self._training(task) for task in tasks]
                ahead += stack.enter_context(begun(place, pieces))
            pool = stack.enter_context(ThreadPoolExecutor(1))
            try:
                for number, task in enumerate(tasks):
                    for trained in ahead[number : number + 1]:
                        if error := trained.exception():  # the run tries it again
                            log.warning("%s: its training failed: %s", task.date, error)
                    pool.submit(self._run_one, task, runner).result()
            except BaseException:
                runner.stop()
                raise

    def _training(self, task: BackfillTask) -> Piece:
        from headrace_flows.spreading import Piece

        plan = Plan(task.spec, task.folder, Home(self._settings))
        body = {
            "pipeline": task.spec.model_dump(mode="json"),
            "folder": record_folder(plan),
        }
        return Piece(pipeline=task.spec.name, work="training", body=body)

    def _run_one(self, task: BackfillTask, runner: Runner) -> None:
        outcome: dict[str, Any] = {"date": task.date}
        try:
            key = self._key(task)
            outcome |= runner.run(task, key)
            if outcome["exit_code"] in DONE_CODES:
                self._store.write_json(_place(task, key), outcome)
        except HeadraceError as error:  # the other dates go on
            outcome |= {
                "status": "refused" if isinstance(error, Refusal) else "error",
                "reason": str(error),
                "exit_code": error.exit_code,
            }
        self.outcomes[task.date] = {**outcome, "skipped": False}
        self._report(self.outcomes[task.date])

    def _key(self, task: BackfillTask) -> str:
        """A digest of the spec, the folder, and the source's identity if it has one."""
        identity = ""
        with contextlib.suppress(HeadraceError):  # the run itself reports it
            identity = source_identity(task.spec.data.source, medium=task.spec.medium)
        spec = task.spec.model_dump_json(exclude={"deploy"})
        folder = pack_folder(task.folder, self._store.store)
        text = json.dumps([spec, identity, folder, task.promotes])
        return hashlib.sha256(text.encode()).hexdigest()


def _place(task: BackfillTask, key: str) -> str:
    return f"backfills/{task.spec.name}/{key}.json"


class Here:
    """Runs each task as a process, ``headrace run``, which frees its memory at its end.

    They use the Prefect server of this process.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._is_stopping = False

    def run(self, task: BackfillTask, key: str) -> dict[str, Any]:
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
        code = process.returncode
        try:
            summary = json.loads(out)
        except ValueError:
            reason = f"its output is not JSON: {out[-200:]!r}"
            summary = {"status": "error", "reason": reason}
        if code < 0:
            reason = f"it was ended by signal {-code}"
            summary = {"status": "error", "reason": reason}
        headline = task_named(summary.get("task", DEFAULT_TASK)).headline
        return {
            **{name: summary.get(name) for name in _FIELDS},
            headline: (summary.get("metrics") or {}).get(headline),
            "exit_code": code if code >= 0 else DependencyError.exit_code,
        }

    def stop(self) -> None:
        """Interrupt the running processes; each ends in order."""
        self._is_stopping = True
        for process in list(self._running):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)


class There:
    """Runs tasks on workers, by the deployment ``train/<pipeline>``.

    Args:
        deployment: Prefect's id of the deployment.
        settings: with the store and the ledger.
    """

    def __init__(self, deployment: Any, settings: Settings) -> None:
        self._deployment = deployment
        self._settings = settings
        self._stopping = threading.Event()

    def run(self, task: BackfillTask, key: str) -> dict[str, Any]:
        """Run a task, or wait for its running flow run.

        Raises:
            HeadraceError: the server refuses or loses the run, or the store or the
                ledger has no outcome.
        """
        from prefect.client.orchestration import get_client
        from prefect.exceptions import ObjectNotFound

        plan = Plan(task.spec, task.folder, Home(self._settings))
        work = work_of(self._settings, f"backfill-{key}")
        with translate_errors(), get_client(sync_client=True) as client:
            try:
                run = self._start(client, task, plan, work)
                ended = wait_for(client, run, task.spec.name, self._stopping)
            except ObjectNotFound as error:
                raise UsageError(
                    f"Prefect no longer has the deployment train/{task.spec.name}.",
                    f"Run `headrace deploy {task.spec.name}`.",
                ) from error
            except Stopped:
                reason = "it is still running; the next backfill waits for it"
                return {"status": "running", "reason": reason, "exit_code": 130}
        return _outcome(plan, ended)

    def stop(self) -> None:
        """Stop waiting. Runs that workers have started go on."""
        self._stopping.set()

    def _start(self, client: Any, task: BackfillTask, plan: Plan, work: str) -> Any:
        return start_once(
            client,
            self._deployment,
            work,
            parameters={
                "pipeline": task.spec.model_dump(mode="json"),
                "folder": record_folder(plan),
                "register_only": not task.promotes,
            },
            name=f"{task.spec.name} {task.date}",
        )


Runner: TypeAlias = Here | There


def do_training(body: Mapping[str, Any], settings: Settings) -> None:
    """Do what a run does up to its training, so that the run finds the results.

    Args:
        body: ``pipeline``, the spec, and ``folder``, as the train flow takes them.
        settings: with the store, the ledger and MLflow.
    """
    from prefect.runtime import flow_run

    from headrace_flows import stages
    from headrace_flows.train import new_run

    spec = PipelineSpec.model_validate(body["pipeline"])
    run = new_run(spec, body["folder"], register_only=True, settings=settings)
    run.flow_run_id = str(flow_run.get_id() or "")
    snapshot = run.find(run.plan.ingest(), SnapshotRecord) or stages.ingest.fn(run)
    stages.train.fn(run, snapshot, run.validate(snapshot))


def _outcome(plan: Plan, ended: Any) -> dict[str, Any]:
    status = _status(ended.state)
    overrides = list(plan.law_on(plan.last.snapshot).overrides)
    outcome = {
        "status": status,
        "reason": ended.state.message,
        "flow_run_id": str(ended.id),
        "exit_code": _CODES.get(status, 3),
        "seconds": round(ended.total_run_time.total_seconds(), 3),
        "experiment": bool(overrides),
        "overrides": overrides,
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


def _status(state: Any) -> str:
    if state.is_cancelled():
        return "cancelled"
    name = str(state.name).lower()
    raised = _RAISED.search(state.message or "")
    kind = getattr(errors, raised.group(1), None) if raised else None
    if isinstance(kind, type) and issubclass(kind, Refusal):
        return "refused"
    return name if name in _CODES else "error"
