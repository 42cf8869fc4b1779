"""The state of one run of the train flow, for its stages and its summary."""

from __future__ import annotations

import contextlib
import gc
import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from headrace.errors import DependencyError, HeadraceError, Refusal
from headrace.models.logged.checks import at_stake, find_mismatches
from headrace.pipeline import PipelineSpec
from headrace.pipeline.law import title_of
from headrace.planning import Plan, StageKey
from headrace.records import (
    ChoiceRecord,
    ContractRecord,
    EvaluationRecord,
    Finding,
    PromotionRecord,
    Record,
    RegistrationRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.state.disk import disk_errors
from headrace.state.home import Home
from headrace.state.ledger import Mismatch
from headrace.state.signing import check_signing_key
from headrace_flows.turn import Turn

if TYPE_CHECKING:
    from headrace.stages.processes import OtherProcess

# Each stage, and the attribute of a run that has its result.
STAGES = {
    "ingest": "snapshot",
    "validate": "contract",
    "train": "training",
    "evaluate": "evaluation",
    "register": "registration",
    "promote": "promotion",
}
_WITH_DATA = {"ingest", "validate", "train", "evaluate"}
UNCHANGED = "nothing it depends on has changed"

R = TypeVar("R", bound=Record)
log = logging.getLogger("headrace")
current: ContextVar[Run] = ContextVar("headrace_run")


def log_to_prefect() -> None:
    """Log the progress of a flow that no command has started, for its page in Prefect.

    A level that is set already stays.
    """
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)


def run_of_file(
    spec: PipelineSpec, folder: Path, settings: Settings, *, register_only: bool = False
) -> Run:
    """A run of a pipeline whose file was just read; the backbone it names is pinned.

    Raises:
        UsageError: as `Run`, or the backbone cannot be found or used.
    """
    if "preset" in spec.model.arguments:  # the name of a backbone
        from headrace.use.backbones import pinned

        spec = pinned(spec, Home(settings))
    return Run(spec, folder, settings, register_only=register_only)


class Run:
    """What a run has done so far.

    Args:
        spec: the pipeline.
        folder: its folder.
        settings: where things are.
        register_only: whether the champion stays, whatever the gates say.

    Raises:
        UsageError: a key for signatures is needed, or cannot be used.

    Attributes:
        snapshot, contract, training, evaluation, registration, promotion: the results
            of its stages, each None until there is one.
        broken: what of the versions that it goes on from is not as registered.
        resumed_from: the checkpoint from which the training went on; empty if none.
        turn: when it may write to the ledger.
        has_report: whether its report is in MLflow.
        error: with which it ended; None where its summary says all.
    """

    snapshot: SnapshotRecord | None = None
    contract: ContractRecord | None = None
    training: TrainingRecord | None = None
    evaluation: EvaluationRecord | None = None
    registration: RegistrationRecord | None = None
    promotion: PromotionRecord | None = None
    resumed_from = ""
    flow_run_id = ""
    ui_url = ""
    has_report = False
    error: HeadraceError | None = None

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline, with the model that is trained or was kept."""
        return self.plan.spec

    @property
    def choice(self) -> ChoiceRecord | None:
        """Which model was kept; None where there was none to choose from."""
        return self.plan.choice

    @property
    def folder(self) -> Path:
        """The pipeline's folder, unpacked where it came from the store."""
        return self.plan.folder

    def __init__(
        self,
        spec: PipelineSpec,
        folder: Path,
        settings: Settings,
        *,
        register_only: bool = False,
    ) -> None:
        if spec.promotion.signed:
            check_signing_key(settings)
        self.plan = Plan(spec, folder, Home(settings))
        self.register_only = register_only
        self.reports: list[StageReport] = []
        self.broken: list[Finding] = []
        self.started = time.perf_counter()
        self.turn = Turn(self.plan)

    @property
    def version(self) -> int | None:
        """The version of its training; None if nothing is registered."""
        return self.registration.version if self.registration else None

    @property
    def overrides(self) -> tuple[str, ...]:
        """The fields of the law that it overrides."""
        return self.plan.law.overrides

    @cached_property
    def beside(self) -> OtherProcess:
        """Does the validation, and draws: this process, unless another is given."""
        from headrace.stages.processes import OtherProcess

        return OtherProcess()

    @cached_property
    def title(self) -> str:
        """The pipeline's name and what the run overrides, to tell runs apart."""
        return title_of(self.plan.asked, self.plan.folder)

    @property
    def flow_run_url(self) -> str:
        """Where Prefect shows this run; empty if it is shown nowhere now."""
        page = f"{self.ui_url}/runs/flow-run/{self.flow_run_id}"
        return page if self.flow_run_id and self.ui_url else ""

    def check_versions(self) -> None:
        """Warn if the champion or the newest version is not what was registered.

        Raises:
            DependencyError: MLflow, the store, a disk or the ledger failed.
        """
        home, before = self.plan.home, self.broken
        self.broken = [
            Finding(check="version", count=1, message=_broken(mismatch))
            for mismatch in find_mismatches(at_stake(self.spec.name, home.ledger), home)
        ]
        for finding in self.broken:
            if finding not in before:
                log.warning("%s", finding.message)

    def check_source(self) -> None:
        """Refuse a source that cannot be opened, before waiting for a server.

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

    def ingest(self) -> SnapshotRecord:
        """The data set as an immutable snapshot, stored or made now."""
        key = self.plan.ingest()
        if record := self.find(key, SnapshotRecord):
            return record
        from headrace.stages import ingestion

        spec, plan = self.spec, self.plan
        data = (spec.data, spec.medium, plan.home.store, plan.settings, spec.task)
        changes = plan.corrections, plan.forgotten
        return self.perform(key, partial(ingestion.ingest, *data, *changes))

    def validate(
        self, snapshot: SnapshotRecord, meanwhile: Callable[[], None] = lambda: None
    ) -> ContractRecord:
        """The contract's verdict over a snapshot, stored or made now.

        Args:
            meanwhile: is done here while another process validates, if there is one.
        """
        key = self.plan.validate(snapshot)
        if record := self.find(key, ContractRecord):
            return record
        from headrace.stages import validation

        data = self.spec, snapshot, self.plan.home.store, self.plan.settings

        def work() -> ContractRecord:
            ended = self.beside.begin(partial(validation.validate, *data))
            meanwhile()
            return ended()

        return self.perform(key, work)

    def find(self, key: StageKey, kind: type[R]) -> R | None:
        """The stored result of a stage, which is reported as cached."""
        record = self.plan.find(key, kind)
        if record is not None:
            self._report(key.stage, "cached", UNCHANGED, 0.0)
            setattr(self, STAGES[key.stage], record)
        return record

    def perform(
        self, key: StageKey, work: Callable[[], R], *, stored: bool = True
    ) -> R:
        """Do the work of a stage and store its result.

        Args:
            stored: whether later runs may use the result.

        Raises:
            DependencyError: another run has taken over meanwhile.
        """
        started, why = time.perf_counter(), self.plan.why(key)
        if key.stage == "train":
            self.plan.begin(key)
        record = self.do(key.stage, why, work)
        self.turn.check()
        if stored:
            self.plan.save(key, record, time.perf_counter() - started)
        return record

    def do(self, stage: str, why: str, work: Callable[[], R]) -> R:
        """Do the work of a stage, and report how it ended; the result is not stored."""
        log.info("%s: %s", stage, why)
        started = time.perf_counter()
        try:
            with disk_errors(str(self.plan.settings.home)):
                record = work()
        except BaseException as error:
            text = str(error) or type(error).__name__
            self._report(stage, "failed", text, time.perf_counter() - started)
            raise
        state = "completed"
        if stage == "train" and self.resumed_from:
            state, why = "resumed", f"went on from {self.resumed_from}"
        self._report(stage, state, why, time.perf_counter() - started)
        setattr(self, STAGES[stage], record)
        if stage in _WITH_DATA:
            _give_memory_back()
        return record

    def report_choice(self, why: str, reports: list[StageReport]) -> None:
        """Report the trainings of all candidates as one stage."""
        states = [report.state for report in reports]
        known: tuple[Any, ...] = ("resumed", "completed", "cached")
        state = next(state for state in known if state in states)
        seconds = sum(report.seconds for report in reports)
        self._report("train", state, why, seconds)

    def _report(self, stage: str, state: Any, why: str, seconds: float) -> None:
        others = [report for report in self.reports if report.name != stage]
        seconds = round(seconds, 3)
        report = StageReport(name=stage, state=state, why=why, seconds=seconds)
        self.reports = [*others, report]


def _broken(mismatch: Mismatch) -> str:
    name = f"{mismatch.model}/{mismatch.version}"
    return (
        f"{name} is not what was registered: {mismatch.message} Run `headrace verify "
        f"{name} --repair`."
    )


def _give_memory_back() -> None:
    """Return memory that a stage has freed to the system, for the next stage."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        import ctypes  # which a run of stored results does without

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
