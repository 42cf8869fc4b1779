"""What can be collected: everything that no root needs, by kind, with its size.

Pointers come first, so that what a killed deletion leaves behind is found again: stage
records before snapshots, versions and runs before their files.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from stat import S_ISREG
from typing import Any, NamedTuple

from headrace.retention.roots import Policy, Roots, find_roots
from headrace.serving.requests import files as requests
from headrace.settings import Settings
from headrace.state.folders import FOLDERS, Owner, folder_of
from headrace.state.home import Home
from headrace.state.ledger import Ledger
from headrace.state.ledger.disposals import Collected, version_key
from headrace.state.store import Store
from headrace.state.tracking.disposal import Disposal, StoredModel, StoredRun
from headrace.use.tuning.study import runs_of_searches

_SHARED = ("ingest", "validate")  # their records serve any pipeline with the same data
_DAY_SECONDS = 86_400
_LOG_DAYS = 1.0  # a log that is being written is younger


class StoreEntry(NamedTuple):
    """A file or folder of the store: its size, and its newest time of writing."""

    bytes: int
    written: float


@dataclass(frozen=True)
class DeletionPlan:
    """A plan of what to delete, and what it was made of.

    Attributes:
        items: in the order of their deletion.
        files: keys of the store whose digests the ledger must no longer accept.
        roots: what is kept.
        runs, models: MLflow's, by the key of their item.
        decisions: the ledger's when the plan was begun.
        kept_runs: number of MLflow runs that are kept.
    """

    items: tuple[Collected, ...]
    files: frozenset[str]
    roots: Roots
    runs: Mapping[str, StoredRun]
    models: Mapping[str, StoredModel]
    decisions: int
    kept_runs: int


def mark(home: Home, disposal: Disposal, policy: Policy) -> DeletionPlan:
    """Plan a collection; nothing is changed.

    Raises:
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    settings, ledger, store = home.settings, home.ledger, home.store
    decisions = ledger.disposals.decisions()
    entries = _entries(store)
    runs, models = disposal.stored_runs(), disposal.stored_models()
    anchors = ledger.files.anchors()
    roots = find_roots(home, runs, models, policy)
    own_runs = _known_runs(settings, ledger, store, entries)
    old_runs = {
        f"mlflow/runs/{run.run_id}": run
        for run in runs
        if run.run_id not in roots.runs
        and not roots.is_young(run.ended or run.began)
        and run.experiment not in roots.in_progress
        and (own_runs is None or {run.run_id, run.parent} & own_runs)
    }
    gone = {run.run_id for run in old_runs.values()}
    present = {run.run_id for run in runs}
    old_models = {
        f"mlflow/models/{model.model_id}": model
        for model in models
        if model.model_id not in roots.models
        and (model.run_id in gone or (own_runs is None and model.run_id not in present))
        and not roots.is_young(model.began)
    }
    items = [
        *_versions(ledger, disposal, roots),
        *_stage_records(store, entries, anchors, roots),
        *_of_mlflow("MLflow runs", old_runs, disposal),
        *_of_mlflow("MLflow models", old_models, disposal),
        *_of_store(store, entries, ledger, roots),
        *_request_logs(settings, policy),
        *_logs(settings, roots),
    ]
    keys = {item.key for item in items}
    files = {key for key in anchors if keys & {key, *_parents(key)}}
    return DeletionPlan(
        tuple(items),
        frozenset(files),
        roots,
        old_runs,
        old_models,
        decisions,
        len(runs) - len(old_runs),
    )


def _parents(key: str) -> Iterator[str]:
    while "/" in key:
        key = key.rpartition("/")[0]
        yield key


def _entries(store: Store) -> dict[str, StoreEntry]:
    """Each folder or file that lies two levels deep, such as ``snapshots/DIGEST``."""
    entries: dict[str, StoreEntry] = {}
    for key, size, written in store.sizes():
        top, _, rest = key.partition("/")
        name = f"{top}/{rest.partition('/')[0]}"
        before = entries.get(name, StoreEntry(0, 0.0))
        entries[name] = StoreEntry(before.bytes + size, max(before.written, written))
    return entries


def _known_runs(
    settings: Settings, ledger: Ledger, store: Store, entries: Mapping[str, StoreEntry]
) -> set[str] | None:
    """The runs that this ledger and store name; None if all of MLflow is the home's.

    Another ledger may use the same MLflow, and its runs must not be collected.
    """
    if settings.tracking_uri == settings.home_tracking_uri:
        return None
    runs = {row.run_id for model in ledger.models() for row in ledger.versions(model)}
    for key in entries:
        if key.startswith("stages/"):
            saved = store.read_json(key)
            record = saved.get("record", saved) if isinstance(saved, dict) else {}
            runs.add(str(record.get("run_id", "")))
    return (runs | runs_of_searches(settings)) - {""}


def _versions(ledger: Ledger, disposal: Disposal, roots: Roots) -> Iterator[Collected]:
    """Versions to collect, and those that a killed collection left in MLflow."""
    before = ledger.disposals.collected()
    for model in ledger.models():
        listed = disposal.registered(model)[1]
        for version in ledger.versions(model):
            key, number = version_key(version), version.version
            is_left = key not in before or number in listed
            if is_left and (model, number) not in roots.versions:
                digest = version.model_digest
                yield Collected(kind="versions", key=key, digest=digest)


def _stage_records(
    store: Store,
    entries: Mapping[str, StoreEntry],
    anchors: Mapping[str, str],
    roots: Roots,
) -> Iterator[Collected]:
    for key, entry in entries.items():
        if not key.startswith("stages/") or roots.is_young(entry.written):
            continue
        saved = store.read_json(key)
        if not _is_needed(saved if isinstance(saved, dict) else {}, roots):
            digest = anchors.get(key, "")
            yield Collected(
                kind="stage records", key=key, digest=digest, bytes=entry.bytes
            )


def _is_needed(saved: Mapping[str, Any], roots: Roots) -> bool:
    """Whether a stage record serves a run in progress, or belongs to a root."""
    stage, record = saved.get("stage"), saved.get("record")
    if not isinstance(record, dict):
        return False  # damaged
    if saved.get("pipeline") in roots.in_progress:
        return True
    if stage in _SHARED:
        snapshot = record.get("digest") or record.get("snapshot_digest")
        return not roots.is_quiet or snapshot in roots.snapshots
    return record.get("run_id") in roots.runs


def _of_mlflow(
    kind: str, old: Mapping[str, StoredRun | StoredModel], disposal: Disposal
) -> Iterator[Collected]:
    for key, one in old.items():
        size = disposal.artifact_bytes(one.place)
        digest = one.digest if isinstance(one, StoredRun) else ""
        yield Collected(kind=kind, key=key, digest=digest, bytes=size)


def _of_store(
    store: Store, entries: Mapping[str, StoreEntry], ledger: Ledger, roots: Roots
) -> Iterator[Collected]:
    registered = _digests_in_ledger(ledger)
    for folder in filter(lambda folder: folder.is_collected, FOLDERS.values()):
        for key, entry in entries.items():
            top, _, name = key.partition("/")
            if top != folder.name or roots.is_young(entry.written):
                continue
            if folder.owner == "model":
                # A live run may have copied a model that it has not registered yet.
                is_of_bundle = folder.name == "signatures"  # unless it is a version's
                is_sure = folder.is_of(name, registered)
                is_sure |= roots.is_quiet and not is_of_bundle
                is_kept = folder.is_of(name, roots.digests) or not is_sure
            else:
                is_kept = not roots.is_quiet or _is_of_root(key, roots)
            if not is_kept:
                sha256 = _sha256(name.partition(".")[0])
                size = entry.bytes
                yield Collected(kind=folder.kind, key=key, digest=sha256, bytes=size)


def _is_of_root(key: str, roots: Roots) -> bool:
    folder = folder_of(key)
    needed: dict[Owner, set[str]] = {
        "snapshot": roots.snapshots,
        "training": roots.trainings,
        "run": roots.runs,
    }
    name = key.partition("/")[2]
    return folder.is_list(name) or folder.is_of(name, needed.get(folder.owner, set()))


def _sha256(name: str) -> str:
    return name if len(name) == 64 else ""


def _digests_in_ledger(ledger: Ledger) -> set[str]:
    digests = set()
    for model in ledger.models():
        digests |= {row.model_digest for row in ledger.versions(model)}
    return digests


def _request_logs(settings: Settings, policy: Policy) -> Iterator[Collected]:
    """Days of request logs, today's excepted, which is being written."""
    root = requests.root_of(settings.home)
    now, limit = datetime.now(UTC), max(policy.older_days, 1.0)
    for model in requests.models(root):
        for folder, day in requests.days(root / model):
            end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
            if (now - end).total_seconds() > limit * _DAY_SECONDS:
                size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
                key = f"requests/{model}/{folder.name}"
                yield Collected(kind="request logs", key=key, bytes=size)


def _logs(settings: Settings, roots: Roots) -> Iterator[Collected]:
    """Logs of servers that are not empty, and have not been written for a day."""
    home = settings.home.absolute()
    limit = min(roots.newest, time.time() - _LOG_DAYS * _DAY_SECONDS)
    for path in sorted([*home.glob("*.log*"), *home.glob("*/*.log*")]):
        with contextlib.suppress(OSError):
            status = path.lstat()
            if S_ISREG(status.st_mode) and status.st_size and status.st_mtime < limit:
                key = f"logs/{path.relative_to(home).as_posix()}"
                yield Collected(kind="logs", key=key, bytes=status.st_size)
