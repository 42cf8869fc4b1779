"""The runs of a range: which are not done, how many run at once, their outcomes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headrace.data.anchored import open_anchored
from headrace.data.sources.identity import source_identity
from headrace.errors import HeadraceError, Refusal
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.state.store import pack_folder

DONE_CODES = {0, 1}  # a refused run is done, too


@dataclass(frozen=True, slots=True)
class Task:
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


class Runner(Protocol):
    """Runs tasks, several at once, each in a thread."""

    def run(self, task: Task, key: str) -> dict[str, Any]:
        """Run a task, and return its outcome. The key covers all that it depends on."""

    def stop(self) -> None:
        """Make the running tasks end soon."""


class Backfill:
    """The runs of a range. Outcomes are kept in the store.

    Args:
        tasks: one for each date.
        settings: with the store and the ledger.
        report: called with the outcome of each date when it ends.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        settings: Settings,
        report: Callable[[dict[str, Any]], None],
    ) -> None:
        self.tasks = tasks
        self.outcomes: dict[str, dict[str, Any]] = {}
        self._store = open_anchored(settings)
        self._report = report
        self._is_stopping = False

    def left(self) -> list[Task]:
        """The tasks that are not done yet. Sets the outcomes of the others."""
        tasks = []
        for task in self.tasks:
            outcome = self._store.read_json(_place(task, self._key(task)))
            if not isinstance(outcome, dict):
                tasks.append(task)
            else:
                self.outcomes[task.date] = {**outcome, "skipped": True}
        return tasks

    def run(self, tasks: Sequence[Task], runner: Runner, at_once: int) -> None:
        """Run tasks, the oldest first, a number of them at once.

        Raises:
            KeyboardInterrupt: on Ctrl-C, once the running tasks have ended.
        """
        pool = ThreadPoolExecutor(at_once)
        waiting = [pool.submit(self._run_one, task, runner) for task in tasks]
        try:
            for future in waiting:
                future.result()
        except BaseException:
            self._is_stopping = True
            runner.stop()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _run_one(self, task: Task, runner: Runner) -> None:
        if self._is_stopping:
            return
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

    def _key(self, task: Task) -> str:
        """A digest of the spec, the folder, and the source's identity if it has one."""
        identity = ""
        with contextlib.suppress(HeadraceError):  # the run itself reports it
            identity = source_identity(task.spec.data.source)
        spec = task.spec.model_dump_json(exclude={"deploy"})
        folder = pack_folder(task.folder, self._store.store)
        text = json.dumps([spec, identity, folder, task.promotes])
        return hashlib.sha256(text.encode()).hexdigest()


def _place(task: Task, key: str) -> str:
    return f"backfills/{task.spec.name}/{key}.json"
