"""The trials of a search, kept in the store, and what to try next.

The store is the only memory: Optuna is given the finished trials anew each time, so
what it suggests follows from them and the seed alone, and a search that was killed
goes on as if it had not been. A trial is there once it has ended, or not at all.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from headrace.data.anchored import AnchoredStore
from headrace.errors import DependencyError, UsageError
from headrace.records import Record
from headrace.settings import Settings
from headrace.tasks import Task
from headrace.use.tuning.space import Point, Space

if TYPE_CHECKING:
    import optuna

State = Literal["completed", "pruned", "failed"]

DRAWS = 20
LOSS = "val_loss"
STARTUP_TRIALS = 5
STARTUP_EPOCHS = 2  # pruned from the first one, 3 of 100 searches lost their best trial


class Metric(NamedTuple):
    """What a search seeks, and whether at its lowest."""

    name: str
    lower: bool


def metric_of(name: str, learned: Task) -> Metric:
    """A metric that a search can seek.

    Raises:
        UsageError: it is none.
    """
    score = f"val_{learned.score}"
    if name not in (LOSS, score):
        raise UsageError(
            f"--metric {name}: a {learned.name} has no such metric.",
            f"Take {LOSS} or {score}.",
        )
    return Metric(name, name == LOSS or not learned.higher_is_better)


class Trial(Record):
    """A trial that has ended.

    Attributes:
        number: from 1.
        point: the values, by field, as the space has them.
        value: of the metric at the epoch whose weights were kept; of a pruned trial,
            up to then.
        curve: the metric by epoch.
        seconds: all of it; ``fit_seconds``: building, tracing and fitting the model.
    """

    number: int
    state: State
    point: dict[str, float | int | str]
    value: float | None
    curve: tuple[float, ...]
    reason: str = ""
    seconds: float
    fit_seconds: float
    run_id: str


class _Progress(Record):
    """What the store has of a study."""

    run_id: str = ""
    concluded: int = 0
    trials: tuple[Trial, ...] = ()


class Study:
    """A search that may have begun in another process.

    Args:
        ingredients: all that a trial's result depends on, by name.
        space: what is searched.
        metric: what is sought.
        seed: of the suggestions.
        own: the point that the pipeline file stands for, tried first; None: none.
        store: where the trials are kept, and its ledger, which records them.
    """

    def __init__(
        self,
        ingredients: Mapping[str, str],
        space: Space,
        metric: Metric,
        seed: int,
        own: Point | None,
        store: AnchoredStore,
    ) -> None:
        self.space = space
        self.metric = metric
        self._seed = seed
        self._own = own
        self.store = store
        all_of_it = {
            **ingredients,
            "search metric": metric.name,
            "search seed": str(seed),
            "search own": str(own),
            **{f"search {d.key}": str(d) for d in space.dimensions},
        }
        text = "\n".join(f"{k}={v}" for k, v in sorted(all_of_it.items()))
        self.name = hashlib.sha256(text.encode()).hexdigest()
        self._progress = _Progress()
        self.reload()

    def reload(self) -> None:
        """Read again what the store has."""
        self._progress = self.store.read_record(self._key, _Progress) or self._progress

    @property
    def _key(self) -> str:
        return f"studies/{self.name}.json"

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that have ended, by number."""
        return self._progress.trials

    @property
    def run_id(self) -> str:
        """The MLflow run of the study; empty before it has begun."""
        return self._progress.run_id

    @property
    def best(self) -> Trial | None:
        """The completed trial with the best value, the first of equals."""
        completed = [t for t in self.trials if t.state == "completed"]
        return min(completed, key=self._cost, default=None)

    def _cost(self, trial: Trial) -> float:
        if trial.value is None:
            return math.inf
        return trial.value if self.metric.lower else -trial.value

    def wanted(self, trials: int) -> int:
        """The number of trials there can be: a finite space may have fewer points."""
        return int(min(trials, self.space.size))

    def is_concluded(self, trials: int) -> bool:
        """Whether so many trials have ended and been reported."""
        return min(len(self.trials), self._progress.concluded) >= self.wanted(trials)

    def begin(self, run_id: str) -> None:
        """Keep the MLflow run of the study."""
        self._keep(run_id=run_id)

    def add(self, trial: Trial) -> None:
        """Keep a trial that has ended."""
        self._keep(trials=(*self.trials, trial))

    def conclude(self) -> None:
        """Keep that all trials have been reported."""
        self._keep(concluded=len(self.trials))

    def _keep(self, **changes: Any) -> None:
        self._progress = self._progress.model_copy(update=changes)
        self.store.write_json(self._key, self._progress.model_dump(mode="json"))

    def ask(self) -> tuple[Point, optuna.Trial]:
        """The next point, tried by no trial yet, and its trial as Optuna has it.

        The trial takes the metric of each epoch, and says when to stop.
        """
        tried = [trial.point for trial in self.trials]
        return next(pair for pair in self._candidates() if pair[0] not in tried)

    def _candidates(self) -> Iterator[tuple[Point, optuna.Trial]]:
        number = len(self.trials)
        if self._own is not None and not number:
            yield self._own, self._draw(point=self._own)
        if number < STARTUP_TRIALS:
            point = self.space.spread(self._seed, number)
            yield point, self._draw(point=point)
        for draw in range(DRAWS):
            trial = self._draw(draw)
            yield self.space.rounded(trial.params), trial
        if math.isinf(self.space.size):
            yield dict(trial.params), trial
            return
        for point in self.space.points():
            yield point, self._draw(point=point)

    def _draw(self, draw: int = 0, point: Point | None = None) -> optuna.Trial:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        text = f"{self._seed} {len(self.trials)} {draw}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        study = optuna.create_study(
            direction="minimize" if self.metric.lower else "maximize",
            sampler=optuna.samplers.TPESampler(n_startup_trials=1, seed=seed),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, STARTUP_EPOCHS),
        )
        ranges = {d.key: d.distribution() for d in self.space.dimensions}
        study.add_trials([_as_optuna(trial, ranges) for trial in self.trials])
        if point is not None:
            study.enqueue_trial(point)
        return study.ask(ranges)

    @contextmanager
    def alone(self, settings: Settings) -> Iterator[None]:
        """Keep other processes of this machine from the study.

        Raises:
            DependencyError: one is at it.
        """
        with (settings.home / "studies.lock").open("w") as file:
            try:  # a byte for each study; a process that dies gives it back
                own_byte = int(self.name[:12], 16)
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, own_byte)
            except OSError:
                raise DependencyError(
                    f"Another process is at the search {self.name[:8]}.",
                    "Wait until it has ended, and run the same command again.",
                ) from None
            self.reload()
            yield


def _as_optuna(trial: Trial, ranges: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    """A trial as Optuna has it.

    One that failed is the worst of those that were stopped: a failure in Optuna's
    sense would teach it nothing, and it would try the same again.
    """
    import optuna

    states = optuna.trial.TrialState
    curve = trial.curve if trial.state != "failed" else ()
    return optuna.trial.create_trial(
        state=states.COMPLETE if trial.state == "completed" else states.PRUNED,
        value=trial.value if trial.state == "completed" else None,
        params=trial.point,
        distributions=dict(ranges),
        intermediate_values=dict(enumerate(curve, start=1)),
    )
