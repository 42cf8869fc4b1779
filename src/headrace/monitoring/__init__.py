"""Monitoring: does a version still see and answer what it was proved on?

A window of data or of the request log is compared with the version's reference profile;
performance is estimated without labels, and tested with late ones.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from headrace.data.corrections import ForgottenItems
from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.models.logged import loading
from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import bound_of
from headrace.monitoring.from_data import WindowData, batch_from_data
from headrace.monitoring.from_log import batch_from_log, labelled_from_log
from headrace.monitoring.history import History, StoredWindow
from headrace.monitoring.judging import judge
from headrace.monitoring.late_labels import (
    LateLabels,
    none_joined,
    read_labels,
    scores_with,
    with_labels,
)
from headrace.monitoring.records import MonitorRecord, WindowFacts
from headrace.monitoring.reference import OwnItems, ensure_profile, note_of_labels
from headrace.monitoring.report import log_report
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.tasks import task

__all__ = [
    "MonitorOptions",
    "MonitorRecord",
    "WindowData",
    "ensure_profile",
    "moment",
    "watch_window",
]

ROWS = 1000  # of a window
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([mhdw])")
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """What to monitor.

    Attributes:
        model: ``MODEL``, which is its champion, or ``MODEL/VERSION``.
        data: a source; None: the request log.
        labels: a table of late labels, by path or URI; None: those of the data.
        label: its column of labels; None: ``label`` or ``true_label``.
        since: the earliest request of the log, with a time zone; None: any.
        rows: of the window, the newest ones; of a log, different items.
        labels_anew: whether labels of earlier reports count no more.
        labels_may_come: whether a table of labels that is not there yet is noted, as on
            a schedule; else it is an error.
    """

    model: str
    data: WindowData | None = None
    labels: str | None = None
    label: str | None = None
    since: datetime | None = None
    rows: int = ROWS
    labels_anew: bool = False
    labels_may_come: bool = False


def moment(text: str, now: datetime | None = None) -> datetime:
    """The moment that a text names, in UTC.

    Args:
        text: an age, such as ``24h`` or ``7d``, a date or an ISO 8601 time. Without a
            time zone it is of UTC.
        now: None: by the clock.

    Raises:
        UsageError: it is none of these.
    """
    now = now or datetime.now(UTC)
    try:
        if age := _AGE.fullmatch(text.strip()):
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        named = datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise UsageError(
            f"{text!r} is not a time.",
            "Give an age, such as 24h or 7d, a date such as 2026-01-31, or a time "
            "such as 2026-01-31T12:00.",
        ) from None
    return named.replace(tzinfo=named.tzinfo or UTC).astimezone(UTC)


def watch_window(
    watch: MonitorOptions, settings: Settings, tags: Mapping[str, str] | None = None
) -> MonitorRecord:
    """Judge the newest window of a version, and report it in MLflow.

    The first time, the reference profile of the version is made. The judgement and the
    scores of labels are kept for later windows; a window that is judged again counts
    once.

    Args:
        watch: the version, the rows and the labels.
        settings: where everything is.
        tags: of the run in MLflow, such as a link to a flow run.

    Raises:
        NotFoundError: there is no such version, data or file.
        SourceError: the data is damaged, or none of its items can be decoded.
        InputError: the labels cannot be joined.
        IntegrityError: the model, or the snapshot that the profile needs, is gone.
        DependencyError: a place cannot be reached, or a disk is full.
    """
    home = Home(settings)
    version = home.ledger.find(watch.model)
    champion = home.ledger.champion(version.model)
    is_champion = champion is not None and champion.version.version == version.version
    data = version.description
    late, missing = _late_labels(watch, data.task, settings)
    read = _read(watch, version, settings)
    profile = ensure_profile(version, settings)
    own = OwnItems(version, profile, settings)
    batch, repeats = own.others(read).deduplicated()
    labelled = _labelled(watch, version, batch, late, settings)
    new_labelled = own.others(labelled)
    if late is not None and not len(labelled):  # of a log, in which they may come
        missing = f"{none_joined(late)} that {version} answered"
    notes = tuple(dict.fromkeys([*batch.notes, *labelled.notes]))
    notes += note_of_labels(labelled, new_labelled)
    notes += (f"{missing}.",) if missing else ()
    marker = ForgottenItems(key=home.ledger.facts.secret())
    batch, new_labelled = batch.marked(marker), new_labelled.marked(marker)
    history = History(version.model_digest, home.store)
    before = history.scores()[: 0 if watch.labels_anew else None]
    source = late.source if late else batch.source
    scores = scores_with(before, new_labelled, data, source)
    bound = bound_of(version, profile.facts, settings)
    earlier = history.before(StoredWindow.of(batch, "", "", None))
    judged = judge(profile, batch, bound, scores, earlier)
    new = len(scores) - len(before)
    record = MonitorRecord(
        model=version.model,
        version=version.version,
        status=judged.status,
        reason=judged.reason,
        score=task(data.task).score,
        rows=len(batch),
        window=WindowFacts(
            source=batch.source,
            first=batch.first.isoformat() if batch.first else None,
            last=batch.last.isoformat() if batch.last else None,
            rows=len(read) + read.failed + read.repeats,
            items=len(batch),
            repeats=repeats + read.repeats,
            own=batch.own,
            failed=batch.failed,
        ),
        inputs=judged.comparison.inputs,
        answers=judged.comparison.answers,
        estimate=judged.estimate,
        labelled=judged.labelled and judged.labelled.model_copy(update={"new": new}),
        event=judged.event and is_champion,
        notes=notes,
    )
    if judged.event and not is_champion:
        log.info("monitor: %s is not the champion, so no event is emitted", version)
    if new or watch.labels_anew:
        history.write_scores(scores)
    window = (batch, record.status, record.reason, judged.suspicious)
    history.keep(StoredWindow.of(*window))
    try:
        return log_report(record, batch, profile, settings, tags or {})
    except DependencyError as error:  # the event does not wait for MLflow
        log.warning("the report was not logged: %s", error)
        return record


def _late_labels(
    watch: MonitorOptions, learned: str, settings: Settings
) -> tuple[LateLabels | None, str]:
    """The table of late labels; if it may come later, why there is none."""
    if watch.labels is None:
        return None, ""
    try:
        return read_labels(watch.labels, settings, watch.label, learned), ""
    except NotFoundError:
        if not watch.labels_may_come:
            raise
    return None, f"There are no labels at {watch.labels} yet"


def _read(watch: MonitorOptions, version: Version, settings: Settings) -> Batch:
    if watch.data is None:
        data = version.description
        return batch_from_log(version, data, watch.rows, settings, watch.since)
    name = f"{version.model}/{version.version}"
    loaded = loading.load(name, settings, at_first_use=True)
    return batch_from_data(watch.data, loaded, watch.rows, settings)


def _labelled(
    watch: MonitorOptions,
    version: Version,
    batch: Batch,
    late: LateLabels | None,
    settings: Settings,
) -> Batch:
    """The rows with a label: of the window, or of the whole log with late labels."""
    if late is None:
        return batch.relabelled(batch.labels)
    if watch.data is None:
        return labelled_from_log(version, version.description, late, settings)
    return with_labels(batch, late)
