"""Where forgotten items may be shown besides snapshots, and how they get out of there.

What is made for one data set only, or can be made again, is deleted as a whole: stage
results, quarantines, data pages, engines, profiles, and the pages and pictures of runs.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

import numpy as np

from headrace.data.forgotten import ForgottenItems
from headrace.monitoring.history import History
from headrace.retention.forgetting.outcome import all_versions
from headrace.state.anchored import AnchoredStore
from headrace.state.folders import FOLDERS, Owner, card_key
from headrace.state.store import Store
from headrace.state.tracking.disposal import Disposal, StoredRun

# The artifacts of a training that show no item: what a repeat needs, and the law.
KEPT_ARTIFACTS = ("pipeline", "data", "law")
_SHA = 32  # bytes
log = logging.getLogger("headrace")


def delete_results(anchored: AnchoredStore, snapshots: set[str]) -> Counter[str]:
    """Delete stage results, quarantines and data pages of snapshots."""
    store, counts = anchored.store, Counter[str]()
    for key in _result_keys(store):
        saved = store.read_json(key)
        record = saved.get("record") if isinstance(saved, dict) else None
        names = ("digest", "snapshot_digest")
        if isinstance(record, dict) and snapshots & {record.get(n) for n in names}:
            anchored.delete(key)
            counts["stage results"] += 1
    return counts + delete_made(anchored, "snapshot", snapshots)


def delete_made(
    anchored: AnchoredStore, owner: Owner, owners: Collection[str]
) -> Counter[str]:
    """Delete what may show items, and is made again when it is needed.

    Args:
        owner: of what, by the table of folders.
        owners: whose entries; of what any pipeline may share, all go.
    """
    entries, store = dict[tuple[str, str], list[str]](), anchored.store
    for key in store.keys():
        top, _, rest = key.partition("/")
        name, folder = rest.partition("/")[0], FOLDERS.get(top)
        if folder is None or folder.owner != owner or not folder.is_made_again:
            continue
        if folder.shows_items and (owner == "none" or folder.is_of(name, owners)):
            entries.setdefault((folder.kind, f"{top}/{name}"), []).append(key)
    anchored.ledger.files.anchor(dict.fromkeys(chain(*entries.values()), ""))
    for _, entry in entries:
        store.delete_folder(entry)
    return Counter(kind for kind, _ in entries)


def _result_keys(store: Store) -> Iterator[str]:
    for name in store.names("stages"):
        yield f"stages/{name}"
    for pipeline in store.names("pipelines"):
        for name in store.names(f"pipelines/{pipeline}"):
            yield f"pipelines/{pipeline}/{name}"


def delete_judged(store: Store, forgotten: ForgottenItems) -> Counter[str]:
    """Delete lists of judged test items that have a forgotten one.

    The snapshot of an evaluation has its items, too.
    """
    counts = Counter[str]()
    for name in store.names("judged"):
        try:
            data = store.read(f"judged/{name}")
        except FileNotFoundError as error:
            log.warning("%s: it has no list of judged items", error)
            continue
        items = [data[at : at + _SHA].hex() for at in range(0, len(data), _SHA)]
        if np.any(forgotten.has_items(items)):
            store.delete(f"judged/{name}")
            counts["lists of judged items"] += 1
    return counts


def monitored_models(anchored: AnchoredStore, forgotten: ForgottenItems) -> set[str]:
    """The models that were monitored on labelled items which are forgotten now."""
    return {
        version.model
        for version in all_versions(anchored.ledger)
        if History(version.model_digest, anchored).forgotten_scores(forgotten).any()
    }


def take_out_of_monitoring(
    anchored: AnchoredStore, forgotten: ForgottenItems
) -> Counter[str]:
    """Delete the scores of forgotten items, and what has digests without a key."""
    counts = Counter[str]()
    for digest in anchored.store.names("monitoring"):
        taken = History(digest, anchored).take_out(forgotten)
        counts["kept scores and windows"] += taken
    return +counts


def delete_pages(
    disposal: Disposal,
    anchored: AnchoredStore,
    runs: Iterable[StoredRun],
    snapshots: set[str],
    models: set[str],
) -> Counter[str]:
    """Delete pages, pictures and samples of runs in MLflow, and the copies of pages.

    Args:
        disposal: MLflow.
        anchored: has copies of pages.
        runs: all runs.
        snapshots: the trainings on these lose all but `KEPT_ARTIFACTS`, and the
            golden answers of versions, of which `goldens` decides.
        models: the other runs of these, such as reports of drift, lose all.
    """
    counts = Counter[str]()
    registered = {version.run_id for version in all_versions(anchored.ledger)}
    for run in runs:
        if run.snapshot in snapshots:
            spared: tuple[str, ...] = KEPT_ARTIFACTS
            spared += ("golden",) * (run.run_id in registered)
            if anchored.store.exists(page := card_key(run.run_id)):
                anchored.delete(page)
        elif run.experiment in models and not run.is_training:
            spared = ()
        else:
            continue
        counts["pages and pictures"] += disposal.delete_artifacts_but(run, spared)
    return +counts
