"""The state of one search, for its flow and its command. Does not import Prefect."""

from __future__ import annotations

import time
from typing import Any

from headrace.planning import Plan
from headrace.records import ContractRecord, SnapshotRecord
from headrace.stages.ingredients.closure import code_state
from headrace.tasks import task
from headrace.use.backbones.pinning import pinned
from headrace.use.tuning.space import Space
from headrace.use.tuning.study import Study, metric_of
from headrace.use.tuning.trials import refuse_search, trial_table
from headrace_flows.run import Run
from headrace_flows.summary import Summary, finished


class Tuning:
    """What a search has done so far.

    Attributes:
        study: its trials; None before the data is ingested.
        best: the run of the train flow with the best values.
        outcome: the final state of that run in Prefect.

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

    def __init__(self, run: Run, space: Space, metric: str, trials: int) -> None:
        self.run = run
        self.space = space
        self.metric = metric_of(metric, task(run.spec.task))
        self.trials = trials
        self.study: Study | None = None
        self.best: Run | None = None
        self.outcome: Any = None
        self._edges = space.check(run.spec, run.plan.folder)
        for spec in (run.spec, *self._edges):
            refuse_search(spec)

    def open_study(self, snapshot: SnapshotRecord, contract: ContractRecord) -> Study:
        """The study of this space on this data, new or from the store."""
        plan = self.run.plan
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
        )
        return self.study

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
