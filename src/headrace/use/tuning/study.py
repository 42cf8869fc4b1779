"""The trials of a search, in Optuna's storage, and what to try next.

Trials come in waves: what one tries, and whether it is stopped early, depends on the
seed, the trials of the waves before its own and the points before it in its own. So
those of a wave can run at once, and it does not matter how many do, nor in which order
they end. A trial that was cut off is still running in the storage, and is run again.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import sqlalchemy as sa

from headrace.errors import DependencyError, UsageError
from headrace.records import Record
from headrace.settings import Settings
from headrace.settings.home import home_database
from headrace.tasks import Task
from headrace.use.tuning.space import Point, Space

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

DRAWS = 20
LOSS = "val_loss"
WAVE = 4
STARTUP_TRIALS = 5
STARTUP_EPOCHS = 2  # pruned from the first one, 3 of 100 searches lost their best trial


class Metric(NamedTuple):
    """The metric that a search optimizes; ``lower`` if it is minimized."""

    name: str
    lower: bool

    @property
    def direction(self) -> Literal["minimize", "maximize"]:
        """As Optuna names it."""
        return "minimize" if self.lower else "maximize"


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


class Outcome(Record):
    """How a trial ended.

    Attributes:
        value: the metric at the epoch with the best weights; for a pruned trial, among
            the epochs that it ran.
        curve: the metric by epoch.
    """

    state: Literal["completed", "pruned", "failed"]
    reason: str
    value: float | None
    curve: tuple[float, ...]
    seconds: float
    run_id: str


class Study:
    """A search that may have begun in another process.

    Args:
        depends_on: digests of all that its outcome depends on, but for the others here.
        space: what is searched.
        metric: what is optimized.
        seed: of the points.
        own: the point of the pipeline file's own values, which is tried first; or None.
        settings: where the trials are kept.
        wave: the number of trials in a wave.

    Raises:
        DependencyError: the storage cannot be used. All methods raise it.

    Attributes:
        name: of the study, a digest of all that its outcome depends on.
    """

    def __init__(  # noqa: PLR0913, a trial depends on all of it
        self,
        depends_on: Sequence[str],
        space: Space,
        metric: Metric,
        seed: int,
        own: Point | None,
        settings: Settings,
        wave: int = WAVE,
    ) -> None:
        import optuna

        self.space, self.metric, self.wave = space, metric, wave
        self._seed, self._own = seed, own
        text = str([depends_on, [*map(str, space.dimensions)], metric, seed, own, wave])
        self.name = hashlib.sha256(text.encode()).hexdigest()
        self._storage = storage(settings)
        with _translated():
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=self.name,
                direction=metric.direction,
                load_if_exists=True,
            )

    @property
    def _trials(self) -> list[FrozenTrial]:
        with _translated():
            return self._study.get_trials(deepcopy=False)

    def facts(self) -> dict[str, Any]:
        """The study's MLflow run, ``run_id``, and the trials ``concluded`` in it."""
        with _translated():
            return {"run_id": "", "concluded": 0, **self._study.user_attrs}

    def keep(self, **facts: Any) -> None:
        """Record some `facts`."""
        with _translated():
            for name, value in facts.items():
                self._study.set_user_attr(name, value)

    def table(self) -> list[dict[str, Any]]:
        """The trials that have ended, as plain values, by number, which is from 1."""
        rows = []
        for trial in self._trials:
            if trial.state.is_finished():
                outcome = dict(trial.user_attrs["outcome"])
                outcome["epochs"] = len(outcome.pop("curve"))
                overrides = self.space.overrides(trial.params)
                number = trial.number + 1
                rows.append({"number": number, **outcome, "overrides": overrides})
        return rows

    def best(self) -> dict[str, Any] | None:
        """The completed trial with the best value, the first of equals."""
        completed = [row for row in self.table() if row["state"] == "completed"]
        pick = min if self.metric.lower else max
        return pick(completed, key=lambda row: row["value"], default=None)

    def point(self, number: int) -> Point:
        """What a trial has tried."""
        return self._trials[number - 1].params

    def wanted(self, trials: int) -> int:
        """The number of trials, limited by the points of a finite space."""
        return int(min(trials, self.space.size))

    def is_concluded(self, trials: int) -> bool:
        """Whether this many trials have ended and been reported."""
        wanted = self.wanted(trials)
        return wanted <= min(len(self.table()), int(self.facts()["concluded"]))

    def begin(self, wanted: int) -> dict[int, Point]:
        """The trials to run next, by number; none once as many as wanted have ended.

        They are those of the first wave that is not complete.
        """
        for first in range(0, wanted, self.wave):
            end = self.wanted(first + self.wave)
            for number in range(len(self._trials), end):
                self._add(number)
            wave = self._trials[first : min(end, wanted)]
            left = [trial for trial in wave if not trial.state.is_finished()]
            if left:
                return {trial.number + 1: trial.params for trial in left}
        return {}

    def bounds(self, number: int, epochs: int) -> dict[int, float]:
        """The medians of earlier waves by epoch; a trial that is worse is stopped.

        Args:
            number: of the trial.
            epochs: that it trains; it is not stopped after the last one.
        """
        first = (number - 1) // self.wave * self.wave
        done = [t for t in self._trials[:first] if t.state.name == "COMPLETE"]
        if len(done) < STARTUP_TRIALS:
            return {}
        curves = [trial.user_attrs["outcome"]["curve"][: epochs - 1] for trial in done]
        columns = enumerate(itertools.zip_longest(*curves), start=1)
        return {
            epoch: statistics.median(value for value in values if value is not None)
            for epoch, values in columns
            if epoch >= STARTUP_EPOCHS
        }

    def record(self, number: int, outcome: Outcome) -> None:
        """Record how a trial has ended."""
        from optuna.trial import TrialState

        storage, is_completed = self._storage, outcome.state == "completed"
        # Optuna ignores trials in its state FAIL, and would suggest similar values
        # again. One that is pruned without a value is the worst of all.
        state = TrialState.COMPLETE if is_completed else TrialState.PRUNED
        values = [outcome.value] if is_completed and outcome.value is not None else None
        facts = outcome.model_dump(mode="json")
        with _translated():
            study = storage.get_study_id_from_name(self.name)
            own = storage.get_trial_id_from_study_id_trial_number(study, number - 1)
            storage.set_trial_user_attr(own, "outcome", facts)
            storage.set_trial_state_values(own, state, values)

    def _add(self, number: int) -> None:
        """Add a trial at a point that none has."""
        from optuna.trial import TrialState, create_trial

        trials = self._trials
        tried = [trial.params for trial in trials]
        candidates = self._candidates(number, trials)
        trial = create_trial(
            state=TrialState.RUNNING,
            params=next(point for point in candidates if point not in tried),
            distributions=self.space.ranges,
        )
        with _translated():
            self._study.add_trial(trial)

    def _candidates(self, number: int, trials: list[FrozenTrial]) -> Iterator[Point]:
        """What a trial may try, the best first."""
        import optuna

        if number == 0 and self._own is not None:
            yield self._own
        seed = hashlib.sha256(f"{self._seed} {number}".encode()).digest()[:4]
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=STARTUP_TRIALS,
            seed=int.from_bytes(seed),
            constant_liar=True,  # it keeps away from what is tried in the same wave
        )
        # It draws the fields together for a trial that is asked for.
        study = optuna.create_study(direction=self.metric.direction, sampler=sampler)
        study.add_trials(trials)
        point = Point()
        for _ in range(DRAWS):
            point = study.ask(self.space.ranges).params
            yield self.space.rounded(point)
        yield point
        yield from self.space.points()


def storage(settings: Settings) -> RDBStorage:
    """Optuna's tables: in the home, or in the ledger's database if that is a server."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    url = settings.database_url
    if sa.make_url(url).get_backend_name() == "sqlite":
        url = home_database(settings.home, "tuning")
    with _translated():
        return optuna.storages.RDBStorage(url)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (sa.exc.SQLAlchemyError, StorageInternalError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise DependencyError(
            f"The trials of searches cannot be read or written: {reason}.",
            "Make room, or start the database of HEADRACE_DATABASE_URL, and run the "
            "same command again.",
        ) from error
