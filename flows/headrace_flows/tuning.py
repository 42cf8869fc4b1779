"""The state of one search, for its flow and its command. Does not import Prefect."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.data.snapshots.reading import recorded_snapshot
from headrace.errors import UsageError
from headrace.models.logged.serving_check import keep_spare
from headrace.planning import Plan
from headrace.records import ContractRecord, SnapshotRecord
from headrace.settings import Settings
from headrace.signs import number_of
from headrace.spec import PipelineSpec
from headrace.stages.ingredients.closure import code_state
from headrace.state.tracking.connection import import_mlflow
from headrace.tasks import task
from headrace.use.backbones.pinning import pinned
from headrace.use.tuning.search import Spread, refuse_search, trial_table
from headrace.use.tuning.space import Space, parse_search
from headrace.use.tuning.study import WAVE, Study, metric_of
from headrace.use.tuning.trials import Trials, trial_data
from headrace_flows.deployments import packed
from headrace_flows.run import Run
from headrace_flows.summary import Summary, finished

if TYPE_CHECKING:
    from headrace_flows.spreading import Place

log = logging.getLogger("headrace")


class Tuning:
    """What a search has done so far.

    Attributes:
        study: its trials; None before the data is ingested.
        best: the run of the train flow with the best values.
        outcome: the final state of that run in Prefect.
        workers: how many trials run at once; 0: here, one after the other.
        wave: how many trials do not know of each other.

    Args:
        run: what all trials have in common, and the data.
        space: what is searched.
        metric: the name of the metric that is optimized.
        trials: the number of trials in all.

    Raises:
        SpecError: the pipeline refuses a value at an edge of the space.
        UsageError: there is no such metric, the training is private, or
                there is another family to choose from.
    """

    workers = 0
    wave = WAVE

    def __init__(self, run: Run, space: Space, metric: str, trials: int) -> None:
        self.run = run
        self.space = space
        self.metric = metric_of(metric, task(run.spec.task))
        self.trials = trials
        self.study: Study | None = None
        self.best: Run | None = None
        self.outcome: Any = None
        self._place: Place | None = None
        self._snapshot = ""  # its digest
        self._edges = space.check(run.spec, run.plan.folder)
        for spec in (run.spec, *self._edges):
            refuse_search(spec)

    def open_study(self, snapshot: SnapshotRecord, contract: ContractRecord) -> Study:
        """The study of this space on this data, new or from the store."""
        plan = self.run.plan
        self._snapshot = snapshot.digest
        ingredients = code_state(["headrace.use.tuning.trials"])
        backbones = {}
        for edge in self._edges:
            spec = pinned(edge, plan.folder, plan.home)
            key = Plan(spec, plan.folder, plan.home).train(snapshot, contract)
            ingredients |= key.ingredients
            if digest := spec.model.backbone:
                backbones[f"backbone {spec.model.arguments['preset']}"] = digest
        varied = tuple(f"spec {field}." for field in self.space.keys)
        for name in [*ingredients]:
            if f"{name}.".startswith(varied):
                del ingredients[name]
        if len(backbones) > 1:
            ingredients |= backbones
        self.study = Study(
            ingredients,
            self.space,
            self.metric,
            self.run.spec.training.seed,
            self.space.own_point(self.run.spec),
            plan.home.anchored,
            self.wave,
        )
        return self.study

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Open the place where several trials run at once, unless it is open.

        Raises:
            UsageError: the place cannot be used.
            DependencyError: it has no workers, or does not answer.
        """
        if not self.workers or self._place is not None:
            yield
            return
        from headrace_flows.spreading import workers

        count = int(min(self.workers, self.wave, self.trials, self.space.size))
        with workers(self.run.plan.settings, count) as place:
            most = ", the most that can be" if place.at_once < self.workers else ""
            number = number_of(place.at_once, "trials")
            log.info("tune: %s at once %s%s", number, place.where, most)
            self._place = place
            try:
                yield
            finally:
                self._place = None

    def fork(self) -> None:
        """Fork the processes of this machine that run trials at once, if any do.

        What they need is imported before. A run does so as well, a moment later.
        """
        from headrace_flows.spreading import Here

        if isinstance(self._place, Here):
            keep_spare()
            import_mlflow()
            import optuna  # noqa: F401

            import headrace_flows.train  # noqa: F401

            self._place.fork()

    @property
    def spread(self) -> Spread | None:
        """Has trials done where several can run at once; None: that is not open."""
        return self._spread if self._place else None

    def _spread(self, numbers: Sequence[int]) -> Iterator[int]:
        from headrace_flows.spreading import Piece, spread

        if self._place is None or self.study is None:
            raise RuntimeError("there is no study, or no place for its trials")
        plan = self.run.plan
        search = {
            "study": self.study.name,
            "snapshot": self._snapshot,
            "pipeline": plan.asked.model_dump(mode="json"),
            "folder": packed(plan.folder, plan.home.store),
            "ranges": [str(dimension) for dimension in self.space.dimensions],
            "metric": self.metric.name,
            "wave": self.wave,
        }
        work = f"{__name__}.do_trial"
        pieces = [
            Piece(pipeline=plan.spec.name, work=work, body={**search, "number": n})
            for n in numbers
        ]
        for piece in spread(self._place, pieces):
            yield piece.body["number"]

    def refit(self) -> Run:
        """The run of the train flow with the best values found."""
        study = self.study
        if study is None or study.best is None:
            raise RuntimeError("no trial was completed")
        plan = self.run.plan
        spec = self.space.apply(self.run.spec, study.best.point)
        self.best = Run(spec, plan.folder, plan.settings)
        return self.best

    def find_finished(self) -> tuple[Summary, int] | None:
        """The summary of the best run, if trials and run have nothing left to do.

        Returns:
            it and the command's exit code; None if there is work to do.
        """
        last = self.run.plan.last
        if last.snapshot is None or last.contract is None:
            return None
        study = self.open_study(last.snapshot, last.contract)
        if not study.is_concluded(self.trials) or study.best is None:
            return None
        return finished(self.refit())

    def answer(self, summary: Summary) -> dict[str, Any]:
        """The answer of the command.

        Args:
            summary: of the run with the best values, or of the search if it has none.
        """
        study = self.study
        best = study.best if study else None
        answer: dict[str, Any] = {
            "pipeline": self.run.spec.name,
            "status": summary.status,
            "reason": summary.reason,
            "study": study.name if study else None,
            "metric": self.metric.name,
            "direction": "minimize" if self.metric.lower else "maximize",
            "best": best
            and {
                "number": best.number,
                "value": best.value,
                "overrides": self.space.overrides(best.point),
            },
            "trials": trial_table(study) if study else [],
            "run": summary.model_dump(mode="json"),
            "seconds": round(time.perf_counter() - self.run.started, 3),
        }
        if summary.error:
            answer["error"] = summary.error.model_dump()
        return answer


_opened: dict[str, Trials] = {}  # of the last study


def do_trial(body: Mapping[str, Any], settings: Settings) -> None:
    """Do a trial of a search that another process conducts, if it is its turn.

    Args:
        body: what the flow `tune` takes, ``study``, the name, ``snapshot``, the digest
            of the data, and ``number``.
        settings: with the store, the ledger and MLflow.

    Raises:
        UsageError: the search is not under way in this store, or the code here, and so
            the study, is another.
    """
    name = str(body["study"])
    if name not in _opened:
        _opened.clear()
        _opened[name] = _open(body, settings)
    trials = _opened[name]
    trials.study.reload()
    if body["number"] in trials.study.missing():
        trials.do(int(body["number"]))


def _open(body: Mapping[str, Any], settings: Settings) -> Trials:
    from headrace_flows.train import new_run

    spec = PipelineSpec.model_validate(body["pipeline"])
    run = new_run(spec, body["folder"], settings=settings)
    tuning = Tuning(run, parse_search(body["ranges"])[1], body["metric"], 1)
    tuning.wave = int(body["wave"])
    plan, digest = run.plan, str(body["snapshot"])
    # By its digest: the source may have been touched, and nobody needs it any more.
    snapshot = recorded_snapshot(plan.home.anchored, digest)
    if snapshot is None:
        raise _other_worker(body, f"its store has no snapshot {digest[:12]}")
    contract = plan.find(plan.validate(snapshot), ContractRecord)
    if contract is None:
        why = f"its store or its code has no verdict on the snapshot {digest[:12]}"
        raise _other_worker(body, why)
    study = tuning.open_study(snapshot, contract)
    if study.name != body["study"]:
        raise _other_worker(body, "its code or its libraries are others")
    if not study.run_id:
        raise _other_worker(body, "the search is not under way in its store")
    parent = study.run_id, plan.home.tracking.experiment(spec.name)
    data = trial_data(snapshot, contract, plan.home)
    return Trials(plan, study, data, parent)


def _other_worker(body: Mapping[str, Any], why: str) -> UsageError:
    return UsageError(
        f"A worker cannot take part in the search {str(body['study'])[:8]}: {why}.",
        "Start the workers with the same HEADRACE_STORE and HEADRACE_DATABASE_URL, and "
        "install the same Headrace and libraries.",
    )
