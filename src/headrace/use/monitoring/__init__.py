"""Monitoring: does a version still see and answer what it was proved on?

A window of data or of the request log is compared with the version's reference profile;
performance is estimated without labels, and tested with late ones.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pyarrow as pa

from headrace.data.anchored import open_anchored
from headrace.data.snapshots.reading import DIGEST
from headrace.drift.profile import Profile
from headrace.errors import DependencyError, InputError, IntegrityError
from headrace.models.logged import loading
from headrace.settings import Settings
from headrace.stages.evaluation.items import learned_from
from headrace.state.ledger import Version
from headrace.state.tracking import Tracking
from headrace.tasks import task
from headrace.use.monitoring.batches import Batch, Texts
from headrace.use.monitoring.bounds import Bound, bound_of
from headrace.use.monitoring.from_data import Data, batch_from_data
from headrace.use.monitoring.from_log import batch_from_log, labelled_from_log
from headrace.use.monitoring.history import History, Scored, kept_window, with_new
from headrace.use.monitoring.judging import Judgement, Shadow, judge
from headrace.use.monitoring.late_labels import LateLabels, read_labels
from headrace.use.monitoring.profiles import ensure_profile, find_profile, snapshot_of
from headrace.use.monitoring.records import (
    EstimateFacts,
    LabelFacts,
    MonitorRecord,
    Shift,
    WindowFacts,
)
from headrace.use.monitoring.report import log_report

__all__ = ["Data", "MonitorRecord", "Watch", "ensure_profile", "monitor"]

ROWS = 1000  # of a window
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class Watch:
    """What to monitor.

    Attributes:
        model: ``MODEL``, which is its champion, or ``MODEL/VERSION``.
        data: a source; None: the request log.
        labels: a table of late labels, by path or URI; None: those of the data.
        label: its column of labels; None: ``label`` or ``true_label``.
        since: the earliest request of the log, with a time zone; None: any.
        rows: of the window, the newest ones.
        dry_run: whether nothing is kept for later windows, and no event follows.
        labels_anew: whether labels of earlier reports count no more.
    """

    model: str
    data: Data | None = None
    labels: str | None = None
    label: str | None = None
    since: datetime | None = None
    rows: int = ROWS
    dry_run: bool = False
    labels_anew: bool = False


def monitor(
    watch: Watch, settings: Settings, tags: Mapping[str, str] | None = None
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
    anchored = open_anchored(settings)
    version = anchored.ledger.find(watch.model)
    late = None
    if watch.labels is not None:
        late = read_labels(watch.labels, settings, watch.label)
    profile = ensure_profile(version, settings)
    batch = _read(watch, version, profile, settings)
    rows = len(batch) + batch.failed
    known = _Known(version, profile, settings)
    batch, repeats = known.others(batch).deduplicated()
    labelled = _labelled(watch, version, profile, batch, late, settings)
    history = History(version, anchored)
    before = history.scores()[:0] if watch.labels_anew else history.scores()
    scores = before
    if labelled is not None:
        scores = _scored(known.others(labelled), before, profile, late)
    bound = bound_of(version, profile.facts, settings)
    probe = kept_window(batch, "", "", None)
    shadow = _shadow(version, batch, settings)
    judged = judge(profile, batch, bound, scores, history.signs_before(probe), shadow)
    record = _record(version, batch, judged, bound, profile)
    new = len(scores) - len(before)
    record = record.model_copy(
        update={
            "window": _window_facts(batch, rows, repeats),
            "labelled": _label_facts(judged, bound, new),
            "event": judged.event and not watch.dry_run,
        }
    )
    if not watch.dry_run:
        if new or watch.labels_anew:
            history.keep_scores(scores)
        history.keep(kept_window(batch, record.status, record.reason, judged.sign))
    try:
        return log_report(record, batch, profile, settings, tags or {})
    except DependencyError as error:  # the judgement, and its event, do not wait for it
        log.warning("the report was not logged: %s", error)
        return record


def _read(
    watch: Watch, version: Version, profile: Profile, settings: Settings
) -> Batch:
    if watch.data is None:
        description = profile.facts.description
        return batch_from_log(version, description, watch.rows, settings, watch.since)
    loaded = loading.load_version(Tracking(settings), version)
    return batch_from_data(watch.data, loaded, watch.rows, settings)


class _Known:
    """The items that a version knows: it learned from them, or is compared with them."""

    def __init__(self, version: Version, profile: Profile, settings: Settings) -> None:
        self._reference = set(profile.items.tolist())
        self._snapshot = None
        with contextlib.suppress(IntegrityError):  # it cannot be known any more
            self._snapshot = snapshot_of(version, open_anchored(settings))

    def others(self, batch: Batch) -> Batch:
        """The rows of other items; those that are left out are counted as `own`."""
        own = self._reference.intersection(batch.items.tolist())
        if self._snapshot is not None and len(batch):
            digests = np.array([bytes.fromhex(item) for item in batch.items], DIGEST)
            with contextlib.suppress(IntegrityError):
                learned = learned_from(self._snapshot, digests)
                own |= set(batch.items[learned].tolist())
        return batch.without(own)


def _labelled(
    watch: Watch,
    version: Version,
    profile: Profile,
    batch: Batch,
    late: LateLabels | None,
    settings: Settings,
) -> Batch | None:
    """The rows with a label; of a log, all of the version. None without labels."""
    if late is not None and watch.data is None:
        batch = labelled_from_log(version, profile.facts.description, late, settings)
    elif late is not None:
        batch = batch.select(np.ones(len(batch), bool), labels=late.of(batch))
    known = np.array([label != "" for label in batch.labels], bool)
    if late is not None and not known.any():
        where = "the request log" if watch.data is None else watch.data.source
        raise InputError(
            f"None of the {len(late.labels):,} labels in {late.source} belongs to a "
            f"{late.key} of {where} that {version} answered.",
            "Join them by the request_id of the answers, or by item, the sha256 that "
            "`headrace score` writes.",
        )
    return batch.select(known) if known.any() else None


def _scored(
    labelled: Batch, before: Scored, profile: Profile, late: LateLabels | None
) -> Scored:
    """All scores so far; a label that is no class is that of a wrong answer."""
    data = profile.facts.description
    learned = task(data.task)
    texts: Texts = labelled.labels
    if len(texts) and not any(learned.answers.known(text, data) for text in texts):
        raise InputError(
            f"None of the {len(texts):,} labels of {(late or labelled).source} is one "
            f"that {data.task} knows, such as {texts[0]!r}; the model has "
            f"{learned.answers.about(data)}.",
            "Name the column of labels with --label.",
        )
    targets = learned.labels.encode(
        pa.chunked_array([pa.array(texts, pa.string())]), data
    )
    scores = np.asarray(learned.judge.scores(labelled.outputs, targets), np.float64)
    finite = np.isfinite(scores)
    return with_new(before, labelled.items[finite], scores[finite])


def _shadow(version: Version, batch: Batch, settings: Settings) -> Shadow | None:
    """The version that ran in shadow most, if its profile is at hand."""
    counts = {
        number: int(np.isfinite(outputs).all(axis=1).sum())
        for number, outputs in batch.shadows.items()
    }
    if not counts:
        return None
    number = max(counts, key=lambda n: counts[n])
    ledger = open_anchored(settings).ledger
    profile = find_profile(ledger.version(version.model, number), settings)
    return Shadow(profile, batch.shadows[number]) if profile else None


def _record(
    version: Version, batch: Batch, judged: Judgement, bound: Bound, profile: Profile
) -> MonitorRecord:
    estimated = judged.estimate
    tests = {
        subject: tuple(
            Shift(
                column=test.name,
                p_value=test.adjusted,
                effect=test.effect,
                severity=test.severity,
                reference=test.reference,
                window=test.window,
            )
            for test in judged.comparison.tests
            if test.subject == subject
        )
        for subject in ("inputs", "answers")
    }
    return MonitorRecord(
        model=version.model,
        version=version.version,
        status=judged.status,
        reason=judged.reason,
        score=task(profile.facts.description.task).score,
        rows=len(batch),
        window=_window_facts(batch, len(batch), 0),
        **tests,
        estimate=EstimateFacts(
            value=estimated.value,
            low=estimated.low,
            high=estimated.high,
            valid=estimated.value is not None,
            reason=estimated.reason,
            reference=profile.facts.score,
            agreement=estimated.agreement,
        ),
        shadows=_agreements(batch, profile),
        notes=batch.notes,
    )


def _window_facts(batch: Batch, rows: int, repeats: int) -> WindowFacts:
    return WindowFacts(
        source=batch.source,
        first=batch.first.isoformat() if batch.first else None,
        last=batch.last.isoformat() if batch.last else None,
        rows=rows,
        items=len(batch),
        repeats=repeats,
        own=batch.own,
        failed=batch.failed,
    )


def _label_facts(judged: Judgement, bound: Bound, new: int) -> LabelFacts | None:
    evidence = judged.evidence
    if evidence is None:
        return None
    return LabelFacts(
        labels=evidence.labels,
        new=new,
        score=evidence.score,
        low=evidence.low,
        high=evidence.high,
        bound=bound.value,
        origin=bound.origin,
        e_value=evidence.e_value,
        lost=evidence.lost,
    )


def _agreements(batch: Batch, profile: Profile) -> dict[int, float]:
    """The share of items to which a shadow gives the same answer, by its version."""
    data = profile.facts.description
    answers = task(data.task).answers
    agreements = {}
    for number, outputs in batch.shadows.items():
        both = np.isfinite(outputs).all(axis=1)
        if both.any():
            own = answers.answers(batch.outputs[both], data)
            other = answers.answers(outputs[both], data)
            agreements[number] = float(
                np.mean([a == b for a, b in zip(own, other, strict=True)])
            )
    return agreements
