"""The trials of a search, which are kept in the store, and what to try next.

The store is the only memory. Trials come in waves: what one tries, and whether it is
pruned, depends on the seed and on the trials of the waves before its own. So those of a
wave can run at once, and it does not matter how many do, nor in which order they end. A
killed search continues as if it had not been killed. Only finished trials are stored.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
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
WAVE = 4
_WAVES = 100  # that are looked for
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
    """A study's state in the store; its trials as soon as they are reported."""

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
        wave: the number of trials in a wave.
    """

    def __init__(  # noqa: PLR0913
        self,
        ingredients: Mapping[str, str],
        space: Space,
        metric: Metric,
        seed: int,
        own: Point | None,
        store: AnchoredStore,
        wave: int = WAVE,
    ) -> None:
        self.space = space
        self.metric = metric
        self.store = store
        self.wave = wave
        self._seed = seed
        self._own = own
        self._ingredients = {
            **ingredients,
            "search metric": metric.name,
            "search seed": str(seed),
            "search own": str(own),
            **{f"search {d.key}": str(d) for d in space.dimensions},
        }
        self.name = self._name(wave)
        self._key = f"studies/{self.name}.json"
        self._progress = _Progress()
        self._trials: dict[int, Trial] = {}
        self.reload()

    def _name(self, wave: int) -> str:
        ingredients = sorted({**self._ingredients, "search wave": str(wave)}.items())
        text = "\n".join(f"{name}={value}" for name, value in ingredients)
        return hashlib.sha256(text.encode()).hexdigest()

    def other_waves(self) -> list[int]:
        """The other waves with which the same search was begun, up to a limit."""
        waves = {f"studies/{self._name(w)}.json": w for w in range(1, _WAVES + 1)}
        begun = self.store.ledger.anchors(waves.keys() - {self._key})
        return sorted(waves[key] for key in begun)

    def reload(self) -> None:
        """Read the state from the store again."""
        self._progress = self.store.read_record(self._key, _Progress) or self._progress
        self._trials |= {trial.number: trial for trial in self._progress.trials}
        place = f"studies/{self.name}."
        for key in self.store.ledger.anchors_below([place]):
            number = key.removeprefix(place).partition(".")[0]
            if number.isdecimal() and int(number) not in self._trials:
                if trial := self._stored(int(number)):
                    self._trials[trial.number] = trial

    def read_trial(self, number: int) -> Trial:
        """A trial that has ended; it is read from the store unless it ended here.

        Raises:
            DependencyError: it is not there.
        """
        trial = self._trials.get(number) or self._stored(number)
        if trial is None:
            raise DependencyError(
                f"The store has no outcome of trial {number}.",
                "Run the same command again: it does what is missing.",
            )
        self._trials[number] = trial
        return trial

    def _stored(self, number: int) -> Trial | None:
        return self.store.read_record(self._trial_key(number), Trial)

    def _trial_key(self, number: int) -> str:
        return f"studies/{self.name}.{number}.json"

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The trials that have ended, by number."""
        return tuple(self._trials[number] for number in sorted(self._trials))

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

    def missing(self, trials: int | None = None) -> list[int]:
        """The numbers that have not ended of the first wave that is not complete.

        Args:
            trials: the number of trials in all; None: there is no end.
        """
        first = 1
        while all(number in self._trials for number in self._wave_from(first)):
            first += self.wave
        return [
            number
            for number in self._wave_from(first)
            if number not in self._trials and (trials is None or number <= trials)
        ]

    def _wave_from(self, first: int) -> range:
        return range(first, first + self.wave)

    def add(self, trial: Trial) -> None:
        """Record a trial that has ended."""
        body = trial.model_dump(mode="json")
        self.store.write_json(self._trial_key(trial.number), body)
        self._trials[trial.number] = trial

    def keep(self, **changes: Any) -> None:
        """Record the study's MLflow run, or the trials that are reported."""
        self._progress = self._progress.model_copy(update=changes)
        self.store.write_json(self._key, self._progress.model_dump(mode="json"))

    def ask(self, number: int) -> tuple[Point, optuna.Trial]:
        """The point of a trial, and its Optuna trial, which decides on pruning.

        Args:
            number: of the trial; all waves before its own are complete.
        """
        first = number - (number - 1) % self.wave
        seen = [trial for trial in self.trials if trial.number < first]
        tried = [trial.point for trial in seen]
        beside: list[Point] = []
        for _ in range(first, number + 1):
            candidates = self._candidates(seen, beside)
            pair = next(pair for pair in candidates if pair[0] not in tried + beside)
            beside.append(pair[0])
        return pair

    def _candidates(
        self, seen: list[Trial], beside: list[Point]
    ) -> Iterator[tuple[Point, optuna.Trial]]:
        """What the next trial may try, the best first.

        Args:
            seen: the trials of the waves before its own.
            beside: the points before it in its own wave.
        """
        before = len(seen) + len(beside)
        draw = partial(self._draw, seen, beside)
        if self._own is not None and not before:
            yield self._own, draw(point=self._own)
        if before < STARTUP_TRIALS:
            point = self.space.spread(self._seed, before)
            yield point, draw(point=point)
        for number in range(DRAWS):
            trial = draw(number)
            yield self.space.rounded(trial.params), trial
        if math.isinf(self.space.size):
            yield dict(trial.params), trial
            return
        for point in self.space.points():
            yield point, draw(point=point)

    def _draw(
        self,
        seen: list[Trial],
        beside: list[Point],
        draw: int = 0,
        point: Point | None = None,
    ) -> optuna.Trial:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        text = f"{self._seed} {len(seen) + len(beside)} {draw}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])
        study = optuna.create_study(
            direction="minimize" if self.metric.lower else "maximize",
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=1,
                seed=seed,
                constant_liar=True,  # keeps away from what is tried in the same wave
            ),
            pruner=optuna.pruners.MedianPruner(STARTUP_TRIALS, STARTUP_EPOCHS),
        )
        ranges = {d.key: d.distribution() for d in self.space.dimensions}
        study.add_trials([_as_optuna(trial, ranges) for trial in seen])
        study.add_trials([_running(other, ranges) for other in beside])
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


def _running(point: Point, ranges: Mapping[str, Any]) -> optuna.trial.FrozenTrial:
    """A trial without an outcome in Optuna's form."""
    import optuna

    running = optuna.trial.TrialState.RUNNING
    return optuna.trial.create_trial(
        state=running, params=point, distributions=dict(ranges)
    )
