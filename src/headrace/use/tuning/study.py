"""The trials of a search, which are kept in the store, and what to try next.

The store is the only memory. Optuna gets the finished trials each time, so that its
suggestions depend on them and the seed alone. A killed search therefore continues as if
it had not been killed. Only finished trials are stored.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from headrace.errors import DependencyError, UsageError
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.anchored import AnchoredStore
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
    """The metric that a search optimizes; ``lower`` if it is minimized."""

    name: str
    lower: bool


def metric_of(name: str, learned: Task) -> Metric:
    """A metric that a search can optimize.

    Raises:
        UsageError: the task has no such metric.
    """
    score = f"val_{learned.score}"
    names = [LOSS, score] if learned.training_score == learned.score else [LOSS]
    if name not in names:
        raise UsageError(
            f"--metric {name}: a {learned.name} has no such metric.",
            f"Take {' or '.join(names)}.",
        )
    return Metric(name, name == LOSS or not learned.higher_is_better)


class Trial(Record):
    """A trial that has ended.

    Attributes:
        number: from 1.
        point: the values, by field, as the space has them.
        value: the metric at the epoch with the best weights; for a pruned trial, among
            the epochs that it ran.
        curve: the metric by epoch.
        seconds: the whole trial; ``fit_seconds``: building, tracing and fitting.
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
    """A study's state in the store."""

    run_id: str = ""
    concluded: int = 0
    trials: tuple[Trial, ...] = ()


class Study:
    """A search that may have begun in another process.

    Args:
        ingredients: all that a trial's result depends on, by name.
        space: what is searched.
        metric: what is optimized.
        seed: of the suggestions.
        own: the point of the pipeline file's own values, which is tried first; or None.
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
        self.store = store
        self._seed = seed
        self._own = own
        ingredients = {
            **ingredients,
            "search metric": metric.name,
            "search seed": str(seed),
            "search own": str(own),
            **{f"search {d.key}": str(d) for d in space.dimensions},
        }
        text = "\n".join(f"{k}={v}" for k, v in sorted(ingredients.items()))
        self.name = hashlib.sha256(text.encode()).hexdigest()
        self._key = f"studies/{self.name}.json"
        self._progress = _Progress()
        self.reload()

    def reload(self) -> None:
        """Read the state from the store again."""
        self._progress = self.store.read_record(self._key, _Progress) or self._progress

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
        sign = 1 if self.metric.lower else -1
        completed = [
            (sign * trial.value, trial.number, trial)
            for trial in self.trials
            if trial.state == "completed" and trial.value is not None
        ]
        return min(completed)[2] if completed else None

    def wanted(self, trials: int) -> int:
        """The number of trials, limited by the points of a finite space."""
        return int(min(trials, self.space.size))

    def is_concluded(self, trials: int) -> bool:
        """Whether this many trials have ended and been reported."""
        return min(len(self.trials), self._progress.concluded) >= self.wanted(trials)

    def add(self, trial: Trial) -> None:
        """Record a trial that has ended."""
        self.keep(trials=(*self.trials, trial))

    def keep(self, **changes: Any) -> None:
        """Record the study's MLflow run, or the number of reported trials."""
        self._progress = self._progress.model_copy(update=changes)
        self.store.write_json(self._key, self._progress.model_dump(mode="json"))

    def ask(self) -> tuple[Point, optuna.Trial]:
        """The next untried point, and its Optuna trial, which decides on pruning."""
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
        """Lock the study against other processes of this machine.

        Raises:
            DependencyError: another process runs it.
        """
        with (settings.home / "studies.lock").open("w") as file:
            try:  # a byte for each study; a process that dies gives it back
                own_byte = int(self.name[:12], 16)
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, own_byte)
            except OSError:
                raise DependencyError(
                    f"Another process is running the search {self.name[:8]}.",
                    "Wait until it has ended, and run the same command again.",
                ) from None
            self.reload()
            yield


def _as_optuna(trial: Trial, ranges: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    """A trial in Optuna's form.

    A failed trial becomes the worst of the pruned ones. Optuna ignores trials in its
    state ``FAIL``, so it would suggest similar values again.
    """
    import optuna

    states = optuna.trial.TrialState
    curve = trial.curve if trial.state != "failed" else ()
    is_complete = trial.state == "completed"
    return optuna.trial.create_trial(
        state=states.COMPLETE if is_complete else states.PRUNED,
        value=trial.value if is_complete else None,
        params=trial.point,
        distributions=dict(ranges),
        intermediate_values=dict(enumerate(curve, start=1)),
    )
