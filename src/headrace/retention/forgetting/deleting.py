"""Deletes as a whole all that shows forgotten items, their snapshots last.

So a killed call is repeated by the next one, which finds the same rows.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Collection

import numpy as np

from headrace.data.corrections import FOLDER as CORRECTIONS
from headrace.data.corrections import ForgottenItems, drop_items
from headrace.data.snapshots.reading import DIGEST
from headrace.errors import IntegrityError
from headrace.media import medium
from headrace.media.arrow import as_hex
from headrace.media.interface import digests
from headrace.models.logged.copies import golden_key, zeros_key
from headrace.models.logged.golden import Golden, golden_bytes
from headrace.models.logged.loading import load_version
from headrace.monitoring.history import History
from headrace.retention.forgetting.outcome import all_versions
from headrace.retention.forgetting.snapshots import delete_snapshots
from headrace.retention.roots import results_of, snapshot_of
from headrace.state.folders import FOLDERS, card_key
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.ledger.facts import version_key
from headrace.state.requests import parts_with
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE
from headrace.state.tracking.disposal import Disposal

# The artifacts of a training that show no item: what a repeat needs, and the law.
KEPT_ARTIFACTS = ("pipeline", "data", "law")
log = logging.getLogger("headrace")


def delete(
    pipeline: str, digests: Collection[str], home: Home, forgotten: ForgottenItems
) -> Counter[str]:
    """Delete what shows forgotten items.

    Args:
        pipeline: whose reports of drift may show them, whatever was monitored.
        digests: of the snapshots that have them.
        forgotten: the tombstones.

    Returns:
        how much was deleted, by kind.
    """
    store = home.store
    known = all_versions(home.ledger)
    versions = [one for one in known if one.snapshot_digest in digests]
    log.info("forget: request logs")
    logs = parts_with(store, forgotten.has_items)
    models = {pipeline, *logs, *(version.model for version in versions)}
    counts = Counter[str]()
    counts["lists of judged items"] = _delete_judged(store, forgotten)
    counts["pages and pictures"] = _delete_pages(home, digests, models)
    for name in store.names(CORRECTIONS):
        counts["corrected labels"] += drop_items(store, name, forgotten.has_items)
    if digests:
        counts["stage results"] += _delete_results(store, digests)
        files = {version.model_digest for version in versions}
        counts += _delete_made(store, digests, files)
    for version in versions:
        counts["golden answers"] += delete_golden(version, home, forgotten)
    for digest in store.names("monitoring"):
        counts["kept scores"] += History(digest, store).take_out(forgotten)
    for key in itertools.chain(*logs.values()):
        store.delete(key)
        counts["parts of request logs"] += 1
    delete_snapshots(digests, home)
    return +counts


def _delete_results(store: Store, digests: Collection[str]) -> int:
    results = results_of(store)
    keys = [key for key, _, record in results if snapshot_of(record) in digests]
    for key in keys:
        store.delete(key)
    return len(keys)


def _delete_made(
    store: Store, snapshots: Collection[str], models: Collection[str]
) -> Counter[str]:
    """Delete what may show items, and is made again when it is needed.

    Of what any pipeline may share, all goes.
    """
    owners = {"snapshot": snapshots, "model": models}
    counts = Counter[str]()
    for folder in FOLDERS.values():
        is_meant = folder.is_made_again and folder.shows_items
        for name in store.names(folder.name) if is_meant else ():
            if folder.owner == "none" or folder.is_of(name, owners[folder.owner]):
                store.delete_folder(f"{folder.name}/{name}")
                counts[folder.kind] += 1
    return counts


def _delete_judged(store: Store, forgotten: ForgottenItems) -> int:
    """Write lists of judged test items anew that have a forgotten one; how many.

    Their other items stay judged, though their snapshot is gone.
    """
    count = 0
    for name in store.names("judged"):
        data, left = store.read(f"judged/{name}"), f"{name.partition('.')[0]}.left.bin"
        gone = forgotten.has_items(as_hex(data).to_pylist())
        if gone.any():
            items = np.frombuffer(data, DIGEST)[~gone]
            store.write(f"judged/{left}", items.tobytes())
            if name != left:
                store.delete(f"judged/{name}")
            count += 1
    return count


def _delete_pages(home: Home, digests: Collection[str], models: Collection[str]) -> int:
    """Delete pages, pictures and samples of runs in MLflow, and the copies of pages.

    Args:
        digests: the trainings on these snapshots lose all but `KEPT_ARTIFACTS`, and the
            golden answers of versions, of which `delete_golden` decides.
        models: the other runs of these, such as reports of drift, lose all.
    """
    disposal, count = Disposal(home.settings), 0
    registered = {version.run_id for version in all_versions(home.ledger)}
    for run in disposal.stored_runs():
        if run.snapshot in digests:
            spared: tuple[str, ...] = KEPT_ARTIFACTS
            spared += ("golden",) * (run.run_id in registered)
            if home.store.exists(page := card_key(run.run_id)):
                home.store.delete(page)
        elif run.experiment in models and not run.is_training:
            spared = ()
        else:
            continue
        count += disposal.delete_artifacts_but(run, spared)
    return count


def delete_golden(version: Version, home: Home, forgotten: ForgottenItems) -> int:
    """Delete a version's golden answers, if they show forgotten items.

    Returns:
        the number of forgotten items that they showed.

    Raises:
        DependencyError: MLflow, the store or the ledger failed.
    """
    store, copy, is_logged = home.store, golden_key(version), True
    try:
        data = home.tracking.version_golden(version)
    except IntegrityError:  # it was collected, or lost
        if not store.exists(copy):
            return 0
        data, is_logged = store.read(copy), False
    golden, description = Golden.read(data), version.description
    shas = digests(np.ascontiguousarray(golden.items), medium(description.medium))
    count = int(forgotten.has_items(as_hex(shas).to_pylist()).sum())
    if not count:
        return 0
    if not home.ledger.facts.is_deleted(version):
        gone = {version_key(version): "golden answers"}
        home.ledger.facts.record_deleted(gone, home.settings.user)
    with contextlib.suppress(IntegrityError):  # the model's file was collected
        model = load_version(home.tracking, version).model
        data = golden_bytes(model, np.zeros_like(golden.items[:1]), description)
        store.write(zeros_key(version), data)
    store.delete(copy)
    if is_logged:
        Disposal(home.settings).delete_artifact(version.run_id, GOLDEN_FILE)
    return count
