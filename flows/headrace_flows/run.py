"""One run of the train flow, as its stages and its summary see it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from headrace.errors import DependencyError, Refusal
from headrace.planning import Key, Plan
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    PromotionRecord,
    Record,
    RegistrationRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.spec.files import fields_of, fields_of_file
from headrace.spec.law import name_by_changes
from headrace.state.disk import disk_errors
from headrace.state.ledger import Ledger
from headrace.state.ledger.leases import HeldLease, heartbeat, hold
from headrace.use.repair import Repair, mend
from headrace_flows.memory import give_memory_back

STAGES = ("ingest", "validate", "train", "evaluate", "register", "promote")

R = TypeVar("R", bound=Record)
log = logging.getLogger("headrace")
current: ContextVar[Run] = ContextVar("headrace_run")


def tell_prefect() -> None:
    """Have a flow that no command has started say what it does; Prefect's page has it.

    A level that is set already stays.
    """
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)


class Run:
    """What a run has done so far.

    Args:
        spec: the pipeline.
        folder: its folder.
        settings: where things are.
        register_only: whether the champion stays, whatever the gates say.

    Attributes:
        began_at: the ledger's last entry when it began; what its version was promoted
            by since, it has led to.
    """

    def __init__(
        self,
        spec: PipelineSpec,
        folder: Path,
        settings: Settings,
        *,
        register_only: bool = False,
    ) -> None:
        self.plan = Plan(spec, folder, settings)
        self.register_only = register_only
        self.began_at = 0
        self._killed_at: float | None = None
        self.reports: list[StageReport] = []
        self.records: dict[str, Record] = {}
        self.repairs: list[Repair] = []
        self.flow_run_id = ""
        self.ui_url = ""
        self.started = time.perf_counter()
        self.holding: HeldLease | None = None
        self._lease = contextlib.ExitStack()

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline."""
        return self.plan.spec

    @cached_property
    def title(self) -> str:
        """The pipeline's name and what the run overrides, to tell runs apart."""
        file = fields_of_file(self.spec, self.plan.folder)
        return name_by_changes(self.spec.name, file, fields_of(self.spec))

    @property
    def flow_run_url(self) -> str:
        """Where Prefect shows this run."""
        if not self.flow_run_id:
            return ""
        return f"{self.ui_url}/runs/flow-run/{self.flow_run_id}"

    def look_back(self) -> None:
        """Note when a run of the pipeline began that was killed: this one goes on.

        What that run has promoted is then how this one ends. To be called before the
        leases of dead runs are swept.

        Raises:
            DependencyError: the ledger does not answer.
        """
        self._killed_at = self.plan.ledger.unsettled_since(self.spec.name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the pipeline's lease: meanwhile no other run registers or promotes.

        Raises:
            DependencyError: another run has it, or has taken over.
        """
        deploy = self.spec.deploy
        _ = self.plan.law  # as it is now: the file may be edited while this runs
        with self._lease:
            self._take(wait=deploy is None or deploy.when_busy == "wait")
            self.began_at = self._first_entry()
            yield

    def _first_entry(self) -> int:
        """The ledger's last entry when this run began, or the one it goes on from."""
        history = self.plan.ledger.history(self.spec.name)
        if self._killed_at is None:
            return len(history)
        return sum(
            datetime.fromisoformat(entry.when).timestamp() < self._killed_at
            for entry in history
        )

    def _take(self, *, wait: bool) -> None:
        lease = hold(self.plan.settings, self.spec.name, self.flow_run_id, wait=wait)
        self.holding = self._lease.enter_context(lease)
        self.plan.ledger = Ledger(self.plan.settings.database_url, self.holding.lease)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Let other runs of the pipeline in during a block, which may take hours.

        It must not write to the ledger, and afterwards the champion may be another.

        Raises:
            DependencyError: the ledger's database does not answer.
        """
        with heartbeat(self.plan.settings, self.flow_run_id):
            self.holding = None
            self._lease.close()
            yield
        self._take(wait=True)

    def mend(self) -> bool:
        """Repair what is lost of the champion and of the newest version.

        Returns:
            whether both are sound now. What cannot be repaired is tried once.

        Raises:
            DependencyError: MLflow, the store, a disk or the ledger failed.
        """
        if all(repair.is_sound for repair in self.repairs):
            self.repairs += mend(
                self.spec.name,
                self.plan.settings,
                self.plan.ledger,
                is_leased=self.holding is not None,
            )
        return all(repair.is_sound for repair in self.repairs)

    def check_source(self) -> None:
        """Refuse a source that cannot be opened before anything waits for a server.

        Raises:
            Refusal: it is damaged, hostile, or of no known format.
        """
        if self.plan.last.snapshot is not None:
            return
        from headrace.data.sources.opening import check_source
        from headrace.stages.ingestion import reading_of

        data = self.spec.data
        reading = reading_of(data, self.spec.medium, self.spec.task)
        try:
            with contextlib.suppress(DependencyError):  # the stage tries again
                check_source(data.source, self.plan.settings, reading)
        except Refusal as error:
            self._report("ingest", "failed", str(error), 0.0)
            raise

    def find(self, key: Key, kind: type[R]) -> R | None:
        """A stage's kept result; reports it as cached."""
        record = self.plan.find(key, kind)
        if record is not None:
            self._report(key.stage, "cached", "nothing it depends on has changed", 0.0)
            self.records[key.stage] = record
        return record

    def perform(self, key: Key, work: Callable[[], R]) -> R:
        """Do a stage's work and keep its result.

        Raises:
            DependencyError: another run has taken over meanwhile.
        """
        started, why = time.perf_counter(), self.plan.why(key)
        if key.stage == "train":
            self.plan.begin(key)
        record = self._do(key.stage, why, work)
        if self.holding is not None and self.holding.is_lost:
            raise self.holding.loss()
        self.plan.save(key, record, time.perf_counter() - started)
        return record

    def do(self, stage: str, why: str, work: Callable[[], R]) -> R:
        """Do the work of a stage that is never kept, but may be done again."""
        return self._do(stage, why, work)

    def _do(self, stage: str, why: str, work: Callable[[], R]) -> R:
        log.info("%s: %s", stage, why)
        started = time.perf_counter()
        try:
            with disk_errors(str(self.plan.settings.home)):
                record = work()
        except BaseException as error:
            text = str(error) or type(error).__name__
            self._report(stage, "failed", text, time.perf_counter() - started)
            raise
        self._report(stage, "completed", why, time.perf_counter() - started)
        self.records[stage] = record
        give_memory_back()
        return record

    def mark_resumed(self, stage: str, place: str) -> None:
        """Say of a stage that is done that it went on from a checkpoint."""
        done = next(report for report in self.reports if report.name == stage)
        self._report(stage, "resumed", f"went on from {place}", done.seconds)

    def _report(self, stage: str, state: Any, why: str, seconds: float) -> None:
        self.reports = [r for r in self.reports if r.name != stage]
        report = StageReport(
            name=stage, state=state, why=why, seconds=round(seconds, 3)
        )
        self.reports.append(report)

    def record(self, stage: str, kind: type[R]) -> R | None:
        """The result of a stage, if it has one."""
        found = self.records.get(stage)
        return found if isinstance(found, kind) else None

    @property
    def snapshot(self) -> SnapshotRecord | None:
        """The result of ingest."""
        return self.record("ingest", SnapshotRecord)

    @property
    def contract(self) -> ContractRecord | None:
        """The result of validate."""
        return self.record("validate", ContractRecord)

    @property
    def training(self) -> TrainingRecord | None:
        """The result of train."""
        return self.record("train", TrainingRecord)

    @property
    def evaluation(self) -> EvaluationRecord | None:
        """The result of evaluate."""
        return self.record("evaluate", EvaluationRecord)

    @property
    def registration(self) -> RegistrationRecord | None:
        """The result of register."""
        return self.record("register", RegistrationRecord)

    @property
    def promotion(self) -> PromotionRecord | None:
        """The result of promote."""
        return self.record("promote", PromotionRecord)
