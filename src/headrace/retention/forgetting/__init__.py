"""``headrace forget``: takes items out of the data, and out of all that shows them.

The ledger records that something was forgotten, by whom and when, and keyed digests, by
which the next ingest leaves the items out. All deletions are by these digests. So a
killed command is ended by the next one, which need not know what was to be forgotten.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from headrace.data.forgetting import (
    forgotten_rows,
    items_of_group,
    open_snapshot,
    sweep,
)
from headrace.data.forgotten import ForgottenItems
from headrace.data.snapshots.reading import forgotten_of
from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.progress import counted
from headrace.records import SnapshotRecord
from headrace.retention import alone
from headrace.retention.forgetting.deleting import delete
from headrace.retention.forgetting.outcome import Outcome, outcome_of
from headrace.settings import Settings
from headrace.spec.folders import pipeline_names
from headrace.state.anchored import AnchoredStore
from headrace.state.home import Home
from headrace.state.ledger import Ledger
from headrace.state.ledger.holding import COLLECTING

_SHA256 = re.compile(r"[0-9a-f]{64}")

__all__ = ["Outcome", "forget"]


@dataclass(frozen=True)
class _Request:
    kind: Literal["item", "group", ""]
    forgotten: ForgottenItems  # with the marks of this request, and all before


def forget(
    settings: Settings,
    pipeline: str,
    *,
    item: str = "",
    group: str = "",
    confirm: Callable[[Outcome], bool],
) -> Outcome:
    """Forget an item or a group, and end what a killed command has left.

    Args:
        settings: where things are, and who the user is.
        pipeline: its name.
        item: sha256 of a decoded item, hex.
        group: a value of ``data.group``. Without either, only the rest of earlier
            commands is done.
        confirm: gets what would be done, and decides.

    Raises:
        UsageError: the digest is none, or both an item and a group are given.
        NotFoundError: there is no such pipeline.
        DependencyError: a run is in progress, or a place does not answer.
        IntegrityError: a snapshot is not the one that was recorded.
    """
    if item and group:
        raise UsageError("Give either --item or --group.", "Run the command twice.")
    if item and not _SHA256.fullmatch(item):
        raise UsageError(
            f"--item {item[:70]!r} is not the sha256 of an item.",
            "It has 64 digits 0-9 and a-f, as the column `item` of a snapshot.",
        )
    home = Home(settings)
    anchored, ledger = home.anchored, home.ledger
    _check_pipeline(pipeline, settings, ledger)
    with _alone(settings):
        snapshots = list(_snapshots(anchored))
        request = _request(pipeline, item, group, anchored, snapshots)
        rows, affected = Counter[str](), list[SnapshotRecord]()
        for snapshot in counted(snapshots, "forget", "snapshots searched"):
            if counts := forgotten_rows(snapshot, request.forgotten):
                rows.update(counts)
                affected.append(snapshot)
        outcome = outcome_of(pipeline, rows, affected, snapshots, ledger, request.kind)
        if not confirm(outcome):
            return outcome
        if request.kind:
            marks, who = request.forgotten.marks, settings.user
            ledger.disposals.begin_forgetting(pipeline, request.kind, who, marks)
        deleted = delete(affected, home, request.forgotten)
        snapshots = list(_snapshots(anchored))
        for snapshot in snapshots:
            if forgotten_of(snapshot):
                sweep(anchored, snapshot)
        open_ones = [one.number for one in ledger.disposals.open_forgettings()]
        ledger.disposals.end_forgetting(open_ones)
        done = outcome_of(pipeline, rows, affected, snapshots, ledger, request.kind)
        return done.forgotten(deleted)


def _check_pipeline(pipeline: str, settings: Settings, ledger: Ledger) -> None:
    names = {*ledger.models(), *pipeline_names(settings)}
    if pipeline not in names:
        listed = ", ".join(sorted(names)) or "none"
        raise NotFoundError(
            f"There is no pipeline {pipeline!r}.", f"Known pipelines: {listed}."
        )


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the lease of collections; raises DependencyError if any run is alive."""
    with alone(settings, "forget") as leases:
        held, now = leases.all()
        for lease in held:
            is_over = lease.state == "ended" or not lease.may_be_alive(now)
            if lease.name != COLLECTING and not is_over:
                raise DependencyError(
                    f"A run uses the data: {lease.name} by {lease}.",
                    "Nothing was changed. Wait until it has ended, or stop it, and "
                    "run the same command again.",
                    was_retried=True,
                )
        yield


def _snapshots(anchored: AnchoredStore) -> Iterator[SnapshotRecord]:
    for name in anchored.store.names("snapshots"):
        snapshot = open_snapshot(anchored, name)
        if snapshot is not None:
            yield snapshot


def _request(
    pipeline: str,
    item: str,
    group: str,
    anchored: AnchoredStore,
    snapshots: list[SnapshotRecord],
) -> _Request:
    """What is to be forgotten, together with all that was before."""
    ledger = anchored.ledger
    forgotten = ForgottenItems.of(ledger, pipeline)
    marks = forgotten.marks
    if item:
        marks |= {forgotten.mark_item(item)}
    if group:
        own = _digests_of(pipeline, anchored)
        items = {
            digest
            for snapshot in snapshots
            if snapshot.digest in own
            for digest in items_of_group(snapshot, group)
        }
        marks |= {forgotten.mark_group(group), *map(forgotten.mark_item, items)}
    kind: Literal["item", "group", ""] = "item" if item else "group" if group else ""
    # In stored snapshots a group is found by its items: another pipeline's group of
    # the same name may be something else.
    return _Request(kind, replace(forgotten, pipeline="", marks=marks))


def _digests_of(pipeline: str, anchored: AnchoredStore) -> set[str]:
    """The digests of all snapshots that a pipeline has made."""
    store, digests = anchored.store, set[str]()
    keys = [f"stages/{name}" for name in store.names("stages")]
    for key in (*keys, f"pipelines/{pipeline}/ingest.json"):
        saved = store.read_json(key)
        if isinstance(saved, dict) and saved.get("pipeline") == pipeline:
            record = saved.get("record") or {}
            names = ("digest", "snapshot_digest")
            digests |= {str(record[name]) for name in names if record.get(name)}
    versions = anchored.ledger.versions(pipeline)
    return digests | {version.snapshot_digest for version in versions}
