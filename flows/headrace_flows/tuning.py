"""The state of one search, for its flow and its command. Does not import Prefect."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

from headrace.display.signs import number_of
from headrace.records import ContractRecord, SnapshotRecord
from headrace.stages.pieces import Place, opened
from headrace.tasks import task
from headrace.use.backbones import pinned
from headrace.use.tuning import check_search, open_study
from headrace.use.tuning.space import Space
from headrace.use.tuning.study import WAVE, Study, metric_of
from headrace_flows.run import Run
from headrace_flows.summary import Summary, finished

log = logging.getLogger("headrace")


class Tuning:
    """What a search has done so far.

    Attributes:
        study: its trials; None before the data is ingested.
        place: where trials run at once; None where they do not, or outside `opened`.
        best: the run of the train flow with the best values.
        outcome: the final state of that run in Prefect.

    Args:
        run: what all trials have in common, and the data.
        space: what is searched.
        metric: the name of the metric that is optimized.
        trials: the number of trials in all.
        workers: how many trials run at once; 0: here, one after the other.
        wave: how many trials do not know of each other.

    Raises:
        SpecError: the pipeline refuses a value at an edge of the space.
        UsageError: there is no such metric, the training is private, or
                there is another family to choose from.
    """

    study: Study | None = None
    place: Place | None = None
    best: Run | None = None
    outcome: Any = None

    def __init__(
        self,
        run: Run,
        space: Space,
        metric: str,
        trials: int,
        workers: int = 0,
        wave: int = WAVE,
    ) -> None:
        self.run, self.space, self.trials = run, space, trials
        self.workers, self.wave = workers, wave
        self.metric = metric_of(metric, task(run.spec.task))
        check_search(space, run.spec, run.plan.folder)

    def open_study(self, snapshot: SnapshotRecord, contract: ContractRecord) -> Study:
        """The study of this space on this data, new or begun before."""
        data = snapshot, contract
        self.study = open_study(self.run.plan, self.space, self.metric, data, self.wave)
        return self.study

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Open the place where several trials run at once, unless it is open.

        Raises:
            UsageError: the place cannot be used.
            DependencyError: it has no workers, or does not answer.
        """
        if not self.workers or self.place is not None:
            yield
            return
        count = int(min(self.workers, self.wave, self.trials, self.space.size))
        with opened(self.run.plan.settings, count) as place:
            self.place, at_once, where = place, place.at_once, place.where
            most = ", the most that can be" if at_once < self.workers else ""
            log.info("tune: %s at once %s%s", number_of(at_once, "trials"), where, most)
            try:
                yield
            finally:
                self.place = None

    def refit(self) -> Run:
        """The run of the train flow with the best values found."""
        study, plan = self.study, self.run.plan
        best = study.best() if study else None
        if study is None or best is None:
            raise RuntimeError("no trial was completed")
        spec = self.space.apply(self.run.spec, study.point(best["number"]))
        self.best = Run(pinned(spec, plan.home), plan.folder, plan.settings)
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
        if not study.is_concluded(self.trials) or study.best() is None:
            return None
        return finished(self.refit())

    def answer(self, summary: Summary) -> dict[str, Any]:
        """The answer of the command.

        Args:
            summary: of the run with the best values, or of the search if it has none.
        """
        study = self.study
        best = study.best() if study else None
        answer: dict[str, Any] = {
            "pipeline": self.run.spec.name,
            "status": summary.status,
            "reason": summary.reason,
            "study": study.name if study else None,
            "metric": self.metric.name,
            "direction": self.metric.direction,
            "best": best and {k: best[k] for k in ("number", "value", "overrides")},
            "trials": study.table() if study else [],
            "run": summary.model_dump(mode="json"),
            "seconds": round(time.perf_counter() - self.run.started, 3),
        }
        if summary.error:
            answer["error"] = summary.error.model_dump()
        return answer
