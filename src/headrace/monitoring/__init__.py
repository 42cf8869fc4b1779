"""Monitoring: does a version still see and answer what it was proved on?

A window of data or of the request log is compared with the version's reference profile;
performance is estimated without labels, and tested with late ones.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from headrace.data.forgotten import ForgottenItems
from headrace.errors import DependencyError, NotFoundError
from headrace.models.logged import loading
from headrace.monitoring.batches import Batch
from headrace.monitoring.bounds import bound_of
from headrace.monitoring.from_data import WindowData, batch_from_data
from headrace.monitoring.from_log import batch_from_log, labelled_from_log
from headrace.monitoring.history import History
from headrace.monitoring.judging import ShadowWindow, judge
from headrace.monitoring.late_labels import LateLabels, read_labels
from headrace.monitoring.profiles import (
    OwnItems,
    ensure_profile,
    find_profile,
    note_of_labels,
)
from headrace.monitoring.records import MonitorRecord
from headrace.monitoring.report import log_report
from headrace.monitoring.results import label_facts, record_of, window_facts
from headrace.monitoring.scores import none_joined, scores_with, with_labels
from headrace.monitoring.stored import stored_window
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.tasks.judging import is_answered

__all__ = [
    "MonitorOptions",
    "MonitorRecord",
    "WindowData",
    "ensure_profile",
    "watch_window",
]

ROWS = 1000  # of a window
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
        dry_run: whether nothing is kept for later windows, and no event follows.
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
    dry_run: bool = False
    labels_anew: bool = False
    labels_may_come: bool = False


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
    late, missing = _late_labels(watch, version.description.task, settings)
    batch = _read(watch, version, settings)
    profile = ensure_profile(version, settings)
    own = OwnItems(version, profile, settings)
    rows = len(batch) + batch.failed + batch.repeats
    batch, repeats = own.others(batch).deduplicated()
    repeats += batch.repeats
    labelled = _labelled(watch, version, batch, late, settings)
    new_labelled = own.others(labelled)
    if late is not None and not len(labelled):  # of a log, in which they may come
        missing = f"{none_joined(late)} that {version} answered"
    notes = tuple(dict.fromkeys([*batch.notes, *labelled.notes]))
    notes += note_of_labels(labelled, new_labelled)
    notes += (f"{missing}.",) if missing else ()
    batch = replace(batch, notes=notes)
    marker = ForgottenItems(key=home.ledger.facts.secret())
    batch, new_labelled = batch.marked(marker), new_labelled.marked(marker)
    history = History(version.model_digest, home.store)
    before = history.scores()[: 0 if watch.labels_anew else None]
    scores = scores_with(
        before,
        new_labelled,
        profile.facts.description,
        late.source if late else batch.source,
    )
    new = len(scores) - len(before)
    bound = bound_of(version, profile.facts, settings)
    earlier = history.signs_before(stored_window(batch, "", "", None))
    shadow = _shadow(version, batch, settings)
    judged = judge(profile, batch, bound, scores, earlier, shadow)
    record = record_of(
        version,
        batch,
        judged,
        profile,
        window_facts(batch, rows, repeats),
        label_facts(judged, bound, new),
    )
    if record.event and not is_champion:
        log.info("monitor: %s is not the champion, so no event is emitted", version)
    if watch.dry_run or not is_champion:
        record = record.model_copy(update={"event": False})
    if not watch.dry_run:
        if new or watch.labels_anew:
            history.add_scores(scores[len(before) :], anew=watch.labels_anew)
        history.keep(stored_window(batch, record.status, record.reason, judged.sign))
    try:
        return log_report(record, batch, profile, settings, tags or {})
    except DependencyError as error:  # the event does not wait for MLflow
        log.warning("the report was not logged: %s", error)
        return record


def _late_labels(
    watch: MonitorOptions, task: str, settings: Settings
) -> tuple[LateLabels | None, str]:
    """The table of late labels; if it may come later, why there is none."""
    if watch.labels is None:
        return None, ""
    try:
        return read_labels(watch.labels, settings, watch.label, task), ""
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


def _shadow(version: Version, batch: Batch, settings: Settings) -> ShadowWindow | None:
    """The version that ran in shadow most, if its profile is at hand."""
    counts = {
        number: int(is_answered(outputs).sum())
        for number, outputs in batch.shadows.items()
    }
    if not counts or not len(batch):
        return None
    number = max(counts, key=lambda n: counts[n])
    try:
        second = Home(settings).ledger.version(version.model, number)
    except NotFoundError:  # the log is of another ledger
        return None
    profile = find_profile(second, settings)
    return ShadowWindow(profile, batch.shadows[number]) if profile else None
