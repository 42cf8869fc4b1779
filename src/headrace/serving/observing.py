"""What watches a server's answers: the request log and a shadow."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from headrace.errors import UsageError
from headrace.serving.log import RequestLog
from headrace.serving.metrics import Labels, exposed
from headrace.serving.shadow import Shadow
from headrace.state.home import Home
from headrace.tasks import difference

if TYPE_CHECKING:
    from prometheus_client import Metric

    from headrace.models.engines import Engine
    from headrace.records import DataDescription
    from headrace.serving.answered import Answered
    from headrace.serving.routes import Models
    from headrace.serving.slots import Slot
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger, Version

log = logging.getLogger("headrace")


def find_shadow(name: str, slots: Sequence[Slot], ledger: Ledger) -> Version | None:
    """The version that is to run beside those that answer; None without a name.

    Raises:
        UsageError, NotFoundError: there is no such version of a model that is served,
            it answers already, or it cannot answer the same requests.
    """
    if not name:
        return None
    answering = {s.model: s.current for s in slots if s.current is not None}
    model, slash, _ = name.partition("/")
    if not slash or model not in answering:
        raise UsageError(
            f"--shadow {name!r} is not a version of a model that is served.",
            f"Give MODEL/VERSION of {', '.join(answering)}.",
        )
    row, served = ledger.find(name), answering[model]
    if row.version == served.version:
        raise UsageError(
            f"Version {row.version} of {model} answers already.",
            "Name another version.",
        )
    check_same_requests(
        name, row.description, f"{model}/{served.version}", served.description
    )
    return row


def check_same_requests(
    name: str, description: DataDescription, answering: str, other: DataDescription
) -> None:
    """Refuse a version that cannot answer another's requests.

    Raises:
        UsageError: it takes other items, or has other classes.
    """
    field = difference(description, other)
    if not field:
        return
    if field in description.target or field in other.target:
        field = "target"
    raise UsageError(
        f"{name} cannot answer the requests of {answering}: its {field} is "
        f"{getattr(description, field)!r}, and not {getattr(other, field)!r}.",
        "Name a version that was trained on data of the same form.",
    )


class Observing:
    """The log and the shadow of a running server.

    Args:
        row: the version that is the shadow; None: there is none.
        settings: of the home.
        open_engine: starts an engine in a process of its own.
        with_inputs: whether the items themselves are logged.
    """

    def __init__(
        self,
        row: Version | None,
        settings: Settings,
        open_engine: Callable[[Version], Engine],
        *,
        with_inputs: bool = False,
    ) -> None:
        self._row, self._settings = row, settings
        self._open_engine, self._with_inputs = open_engine, with_inputs
        self.log: RequestLog | None = None
        self.shadow: Shadow | None = None

    def start(self, models: Models) -> None:
        """Start both."""
        if days := self._settings.request_log_days:
            store = Home(self._settings).store
            self.log = RequestLog(store, days, with_inputs=self._with_inputs)
            models.observers.append(self.log)
        if row := self._row:
            self.shadow = Shadow(
                row.model,
                row.version,
                row.description,
                functools.partial(self._open_engine, row),
                self.log or _nothing,
                self._settings.shadow_share,
            )
            models.observers.append(self.shadow)

    def close(self) -> None:
        """End both; what was answered is written to the log first."""
        with contextlib.ExitStack() as stack:
            for one in (self.log, self.shadow):
                if one is not None:
                    stack.callback(one.close)  # the log is the last one

    def metrics(self) -> Iterator[Metric]:
        """What was logged, and what the shadow answered."""
        if self.log is not None:
            yield from _log_metrics(self.log)
        if self.shadow is not None:
            yield from _shadow_metrics(self.shadow)


def _nothing(answered: Answered) -> None:
    """Without a log, nobody reads the shadow's answers."""


def _log_metrics(request_log: RequestLog) -> Iterator[Metric]:
    about = "Rows of the request log: written, dropped because as much was waiting as "
    about += "may, or lost by a fault."
    states = ("written", "full", "fault")
    rows = [({"state": one}, float(getattr(request_log, one))) for one in states]
    yield exposed("log_rows_total", "counter", about, rows)
    waiting: list[tuple[Labels, float]] = [({}, float(request_log.waiting))]
    yield exposed("log_waiting", "gauge", "Rows that are not written yet.", waiting)


def _shadow_metrics(shadow: Shadow) -> Iterator[Metric]:
    own = {"model": shadow.model, "version": str(shadow.version)}
    counts = shadow.counts
    states = [("answered", counts.answered), ("dropped", counts.dropped)]
    rows = [({**own, "state": state}, count) for state, count in states]
    yield exposed("shadow_rows_total", "counter", "Copies for the shadow.", rows)
    running = [(own, float(shadow.is_running))]
    yield exposed("shadow_up", "gauge", "Whether the shadow answers.", running)
    about = "Restarts of the shadow's process."
    yield exposed("shadow_restarts_total", "counter", about, [(own, counts.restarts)])
    if counts.agreement is not None:
        about = "Share of the shadow's answers that equal those given."
        yield exposed("shadow_agreement", "gauge", about, [(own, counts.agreement)])
    if counts.difference is not None:
        about = "Mean absolute difference of the shadow's answers from those given."
        yield exposed("shadow_difference", "gauge", about, [(own, counts.difference)])
