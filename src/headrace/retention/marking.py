"""What can be collected: everything that no root needs.

Pointers come first, so that what a killed deletion leaves behind is found again: stage
records before snapshots, versions and runs before their files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from headrace.retention.roots import Roots, find_roots, results_of, snapshot_of
from headrace.state.folders import FOLDERS, Folder
from headrace.state.home import Home
from headrace.state.ledger.facts import version_key
from headrace.state.store import Store
from headrace.state.tracking.disposal import Disposal

_SHARED = ("ingest", "validate")  # their records serve any pipeline with the same data


class Garbage(NamedTuple):
    """A thing to collect.

    Attributes:
        kind: in words, such as ``snapshots``.
        key: where it is: a key of the store, or ``mlflow/runs/ID`` and the like.
        bytes: its size; 0 for rows of a database.
        delete: deletes it, and may find it gone already.
    """

    kind: str
    key: str
    bytes: int
    delete: Callable[[], None]


class StoreEntry(NamedTuple):
    """A file or folder of the store: its size, and its newest time of writing."""

    bytes: int
    written: float


def mark(
    home: Home, disposal: Disposal, older_days: float
) -> tuple[Roots, list[Garbage]]:
    """Plan a collection; nothing is changed.

    While a run is alive, nothing of the store is collected.

    Returns:
        what is kept, and what to delete, in this order.

    Raises:
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    runs, models = disposal.stored_runs(), disposal.stored_models()
    roots = find_roots(home, runs, models, older_days)
    known, size = _known_runs(home), disposal.artifact_bytes
    garbage = [*_versions(home, disposal, roots)]
    entries = _entries(home.store) if roots.is_quiet else {}
    garbage += _stage_records(home.store, entries, roots)
    for run in runs:
        is_known = known is None or {run.run_id, run.parent} & known
        if is_known and run.run_id not in roots.runs:
            key, delete = f"mlflow/runs/{run.run_id}", partial(disposal.delete_run, run)
            garbage.append(Garbage("MLflow runs", key, size(run.place), delete))
    for model in models:
        is_kept = model.model_id in roots.models or roots.is_young(model.began)
        if not is_kept and (known is None or model.run_id in known):
            key = f"mlflow/models/{model.model_id}"
            delete = partial(disposal.delete_logged_model, model)
            garbage.append(Garbage("MLflow models", key, size(model.place), delete))
    garbage += _of_store(home.store, entries, roots)
    return roots, garbage


def _known_runs(home: Home) -> set[str] | None:
    """The runs that may be collected; None if all of MLflow is the home's.

    Of an MLflow that other ledgers may use, those of this ledger's versions.
    """
    settings, ledger = home.settings, home.ledger
    if settings.tracking_uri == settings.home_tracking_uri:
        return None
    return {row.run_id for model in ledger.models() for row in ledger.versions(model)}


def _versions(home: Home, disposal: Disposal, roots: Roots) -> Iterator[Garbage]:
    """Versions to collect, and those that a killed collection left in MLflow."""
    ledger, before = home.ledger, home.ledger.facts.deleted()
    for model in ledger.models():
        listed = disposal.registered(model)[1]
        for version in ledger.versions(model):
            key, number = version_key(version), version.version
            is_left = key not in before or number in listed
            if is_left and (model, number) not in roots.versions:
                delete = partial(disposal.delete_version, model, number)
                yield Garbage("versions", key, 0, delete)


def _entries(store: Store) -> dict[str, StoreEntry]:
    """Each folder or file that lies two levels deep, such as ``snapshots/DIGEST``."""
    entries: dict[str, StoreEntry] = {}
    for key, size, written in store.sizes():
        name = "/".join(key.split("/")[:2])
        before = entries.get(name, StoreEntry(0, 0.0))
        entries[name] = StoreEntry(before.bytes + size, max(before.written, written))
    return entries


def _stage_records(
    store: Store, entries: Mapping[str, StoreEntry], roots: Roots
) -> Iterator[Garbage]:
    for key, saved, record in results_of(store) if entries else ():
        entry = entries.get(key)
        if entry is not None and not roots.is_young(entry.written):
            is_kept = record.get("run_id") in roots.runs
            if saved.get("stage") in _SHARED:
                is_kept = snapshot_of(record) in roots.snapshots
            if not (record and is_kept):
                delete = partial(store.delete, key)
                yield Garbage("stage records", key, entry.bytes, delete)


def _of_store(
    store: Store, entries: Mapping[str, StoreEntry], roots: Roots
) -> Iterator[Garbage]:
    needed = {"snapshot": roots.snapshots, "model": roots.digests, "none": set()}
    needed |= {"training": roots.trainings, "run": roots.runs}
    for key, entry in entries.items():
        top, _, name = key.partition("/")
        folder = FOLDERS.get(top)
        if folder is None or not folder.is_collected or roots.is_young(entry.written):
            continue
        if not (folder.is_list(name) or folder.is_of(name, needed[folder.owner])):
            delete = partial(_delete_entry, key, folder, store)
            yield Garbage(folder.kind, key, entry.bytes, delete)


def _delete_entry(key: str, folder: Folder, store: Store) -> None:
    if folder.marker:  # first: the rest is incomplete then
        store.delete(f"{key}/{folder.marker}")
    store.delete_folder(key)
