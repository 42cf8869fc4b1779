"""What watches a server's answers: the request log, a shadow, and canaries."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from headrace.errors import DependencyError, IntegrityError, UsageError
from headrace.serving.canary import Canary, CanaryWanted
from headrace.serving.choosing import check_same_requests
from headrace.serving.log import RequestLog
from headrace.serving.log_frames import LogTask
from headrace.serving.metrics import ExposedMetric, Labels
from headrace.serving.requests.files import root_of
from headrace.serving.shadow import Shadow
from headrace.serving.trial import CanaryTrial

if TYPE_CHECKING:
    from headrace.models.engines import Engine
    from headrace.serving.answered import Answered
    from headrace.serving.options import Options
    from headrace.serving.routes import Models
    from headrace.serving.served import Served
    from headrace.serving.slots import Slot
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger, Version

log = logging.getLogger("headrace")


class Companions(NamedTuple):
    """The versions that are to run beside those that answer."""

    shadow: Version | None
    canaries: list[Version]
    share: float

    @classmethod
    def find(
        cls, options: Options, slots: Sequence[Slot], ledger: Ledger
    ) -> Companions:
        """Look the versions up, and check that they can answer the same requests.

        Raises:
            UsageError, NotFoundError: there is no such version, or it cannot.
        """
        answering = {s.model: s.current for s in slots if s.current is not None}
        shadow, canaries, share = None, [], 0.0
        if options.shadow:
            shadow = _shadow_row(options.shadow, answering, ledger)
        if options.canary:
            wanted = CanaryWanted.parse(options.canary)
            current = {model: one.version for model, one in answering.items()}
            canaries, share = wanted.find(current, ledger), wanted.share
        for row in [*([shadow] if shadow else []), *canaries]:
            served = answering[row.model]
            check_same_requests(
                f"{row.model}/{row.version}",
                row.description,
                f"{served.model}/{served.version}",
                served.description,
            )
        return cls(shadow, canaries, share)


def _shadow_row(name: str, answering: dict[str, Served], ledger: Ledger) -> Version:
    model, slash, _ = name.partition("/")
    if not slash or model not in answering:
        raise UsageError(
            f"--shadow {name!r} is not a version of a model that is served.",
            f"Give MODEL/VERSION of {', '.join(answering)}.",
        )
    row = ledger.find(name)
    if row.version == answering[model].version:
        raise UsageError(
            f"Version {row.version} of {model} answers already.",
            "Name another version.",
        )
    return row


class Observing:
    """The log, the shadow and the canaries of a running server.

    Args:
        beside: the versions beside those that answer.
        settings: of the home.
        open_engine: starts an engine in a process of its own.
        open_canary: opens a canary in such a process, its golden answers checked.
        with_inputs: whether the items themselves are logged.
    """

    def __init__(
        self,
        beside: Companions,
        settings: Settings,
        open_engine: Callable[[Version], Engine],
        open_canary: Callable[[Version], Served],
        *,
        with_inputs: bool = False,
    ) -> None:
        self._beside, self._settings = beside, settings
        self._open_engine, self._open_canary = open_engine, open_canary
        self._with_inputs = with_inputs
        self.log: RequestLog | None = None
        self.shadow: Shadow | None = None
        self.trials: list[CanaryTrial] = []

    def start(self, models: Models) -> None:
        """Start all of them; a canary that does not load gets no requests."""
        if self._settings.request_log_days:
            task = LogTask(
                root=root_of(self._settings.home),
                keep_days=self._settings.request_log_days,
                with_inputs=self._with_inputs,
            )
            self.log = RequestLog(task)
            models.observers.append(self.log)
        if row := self._beside.shadow:
            self.shadow = Shadow(
                row.model,
                row.version,
                row.description,
                functools.partial(self._open_engine, row),
                self.log or _nothing,
                self._settings.shadow_share,
            )
            models.observers.append(self.shadow)
        for row in self._beside.canaries:
            trial = self._trial(models.slots[row.model], row)
            self.trials.append(trial)
            models.observers.append(trial.canary)
            models.replaced.append(trial.replaced)

    def _trial(self, slot: Slot, row: Version) -> CanaryTrial:
        share, home = self._beside.share, self._settings.home
        canary, served = Canary(row.model, row.version, share, home), None
        if not canary.ended:
            try:
                served = self._open_canary(row)
            except (IntegrityError, DependencyError) as error:
                canary.end(f"it does not load: {error}", is_remembered=False)
        return CanaryTrial(slot, canary, served)

    def close(self) -> None:
        """End all of them; what was answered is written to the log first."""
        with contextlib.ExitStack() as stack:
            for one in (self.log, self.shadow, *self.trials):
                if one is not None:
                    stack.callback(one.close)  # the log is the last one

    def metrics(self) -> Iterator[ExposedMetric]:
        """What was logged, what the shadow answered, and how the canaries fare."""
        if self.log is not None:
            yield from _log_metrics(self.log)
        if self.shadow is not None:
            yield from _shadow_metrics(self.shadow)
        if self.trials:
            yield from _canary_metrics([trial.canary for trial in self.trials])


def _nothing(answered: Answered) -> None:
    """Without a log, nobody reads the shadow's answers."""


def _log_metrics(request_log: RequestLog) -> Iterator[ExposedMetric]:
    counts = request_log.counts
    about = "Rows of the request log: written, or lost because the queue was full, the "
    about += "disk failed, or the process ended."
    names = ("written", "full", "disk", "ended")
    rows = [({"state": name}, float(getattr(counts, name))) for name in names]
    yield ExposedMetric("log_rows_total", "counter", about, rows)
    waiting: list[tuple[Labels, float]] = [({}, float(counts.waiting + counts.sent))]
    yield ExposedMetric(
        "log_waiting", "gauge", "Rows that are not written yet.", waiting
    )
    about = "Restarts of the process that writes the log."
    yield ExposedMetric("log_restarts_total", "counter", about, [({}, counts.restarts)])


def _shadow_metrics(shadow: Shadow) -> Iterator[ExposedMetric]:
    own = {"model": shadow.model, "version": str(shadow.version)}
    counts = shadow.counts
    states = [("answered", counts.answered), ("dropped", counts.dropped)]
    rows = [({**own, "state": state}, count) for state, count in states]
    yield ExposedMetric("shadow_rows_total", "counter", "Copies for the shadow.", rows)
    running = [(own, float(shadow.is_running))]
    yield ExposedMetric("shadow_up", "gauge", "Whether the shadow answers.", running)
    about = "Restarts of the shadow's process."
    yield ExposedMetric(
        "shadow_restarts_total", "counter", about, [(own, counts.restarts)]
    )
    if counts.agreement is not None:
        about = "Share of the shadow's answers that equal those given."
        yield ExposedMetric(
            "shadow_agreement", "gauge", about, [(own, counts.agreement)]
        )
    if counts.difference is not None:
        about = "Mean absolute difference of the shadow's answers from those given."
        yield ExposedMetric(
            "shadow_difference", "gauge", about, [(own, counts.difference)]
        )


def _canary_metrics(canaries: Sequence[Canary]) -> Iterator[ExposedMetric]:
    labels = [{"model": c.model, "version": str(c.version)} for c in canaries]
    pairs = list(zip(labels, canaries, strict=True))
    states = ("answered", "failures", "busy")
    rows = [
        ({**own, "state": state}, float(getattr(canary, state)))
        for own, canary in pairs
        for state in states
    ]
    yield ExposedMetric(
        "canary_requests_total", "counter", "Requests to the canary.", rows
    )
    active = [(own, float(not canary.ended)) for own, canary in pairs]
    yield ExposedMetric("canary_active", "gauge", "Whether it gets requests.", active)
    about = "Evidence that its answers differ, as a share of what ends it."
    shares = [(own, max(0.0, c.log_evidence / c.threshold)) for own, c in pairs]
    yield ExposedMetric("canary_evidence", "gauge", about, shares)
