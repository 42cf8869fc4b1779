"""Runs of one pipeline over a range of dates, without those that are done.

Outcomes are kept in the store. Runs come in the order of the dates, since each is
compared with the champion that the one before has left; what does not depend on it, up
to the training, may be done ahead for several dates at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import logging
import signal
import subprocess
import sys
from calendar import monthrange
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headrace import errors
from headrace.data.sources.identity import source_identity
from headrace.display.signs import number_of
from headrace.errors import (
    ContractError,
    DependencyError,
    HeadraceError,
    Refusal,
    SourceError,
    UsageError,
)
from headrace.pipeline import PipelineSpec
from headrace.records import DEFAULT_TASK, Record, SnapshotRecord
from headrace.settings import Settings
from headrace.state.children import ending
from headrace.state.home import Home
from headrace.state.packing import pack_folder
from headrace.tasks import task as task_named
from headrace_flows.deployments import packed

if TYPE_CHECKING:
    from headrace.stages.pieces import Place

_FIELDS = (
    *("status", "reason", "version", "run_id", "flow_run_id", "weights_digest"),
    *("seconds", "experiment", "overrides"),
)
DATE = "{date}"
Step = Literal["day", "week", "month"]
DONE_CODES = {0, 1}  # a refused run is done, too
log = logging.getLogger("headrace")


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
        self._home = Home(settings)
        self._store = self._home.store
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

    def run(self, tasks: Sequence[BackfillTask], place: Place | None = None) -> None:
        """Run tasks, the oldest first.

        Args:
            tasks: one for each date.
            place: where the trainings are done ahead; None: they are not.

        Raises:
            KeyboardInterrupt: on Ctrl-C; the running task is still to be done then.
        """
        for task in self._trained(tasks, place) if place else tasks:
            self._run_one(task)

    def _trained(
        self, tasks: Sequence[BackfillTask], place: Place
    ) -> Iterator[BackfillTask]:
        """Each task once its training was done ahead; meanwhile the next ones are."""
        number, at_once = number_of(len(tasks), "trainings"), place.at_once
        log.info("backfill: %s ahead, %d at once %s", number, at_once, place.where)
        coming, begun = iter(tasks), deque[tuple[BackfillTask, Future[None]]]()

        def begin() -> None:
            for task in itertools.islice(coming, at_once - len(begun)):
                folder = packed(task.folder, self._home.store)
                training = Training(spec=task.spec, folder=folder)
                begun.append((task, place.submit(do_training, training)))

        begin()
        while begun:
            task, trained = begun.popleft()
            if error := trained.exception():  # the run tries it again
                log.warning("%s: its training failed: %s", task.date, error)
            begin()
            yield task

    def _run_one(self, task: BackfillTask) -> None:
        key, outcome = self._key(task), {"date": task.date, **run_process(task)}
        if outcome["exit_code"] in DONE_CODES:
            self._store.write_json(_place(task, key), outcome)
        self.outcomes[task.date] = {**outcome, "skipped": False}
        self._report(self.outcomes[task.date])

    def _key(self, task: BackfillTask) -> str:
        """A digest of the spec, the folder, and the source's identity if it has one."""
        identity = ""
        with contextlib.suppress(HeadraceError):  # the run itself reports it
            identity = source_identity(task.spec.data.source, medium=task.spec.medium)
        spec = task.spec.model_dump_json(exclude={"deploy"})
        folder = pack_folder(task.folder, self._store)
        text = json.dumps([spec, identity, folder, task.promotes])
        return hashlib.sha256(text.encode()).hexdigest()


def run_process(task: BackfillTask) -> dict[str, Any]:
    """Run a date as a process, ``headrace run``, which frees its memory at its end.

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
        **_refused_for(summary),
        headline: (summary.get("metrics") or {}).get(headline),
        "exit_code": code if code >= 0 else DependencyError.exit_code,
    }


def _refused_for(summary: dict[str, Any]) -> dict[str, str]:
    """A field that says what a run was refused for, its data or its gates."""
    if summary["status"] != "refused":
        return {}
    if not summary.get("error"):
        return {"refused_for": "gates"}
    kind = getattr(errors, summary["error"]["kind"], Refusal)
    is_data = issubclass(kind, (ContractError, SourceError))
    return {"refused_for": "data"} if is_data else {}


def _place(task: BackfillTask, key: str) -> str:
    return f"backfills/{task.spec.name}/{key}.json"


class Training(Record):
    """A training of a pipeline; ``folder`` is as the train flow takes it."""

    spec: PipelineSpec
    folder: str

    @property
    def pipeline(self) -> str:
        """The pipeline's name."""
        return self.spec.name


def do_training(training: Training, settings: Settings) -> None:
    """Do what a run does up to its training, so that the run finds the results."""
    from headrace_flows import stages
    from headrace_flows.train import new_run

    folder = training.folder
    run = new_run(training.spec, folder, register_only=True, settings=settings)
    snapshot = run.find(run.plan.ingest(), SnapshotRecord) or stages.ingest.fn(run)
    stages.train.fn(run, snapshot, run.validate(snapshot))
