"""Deletes all that shows forgotten items, and their rows last.

So a killed call is repeated by the next one, which finds the same rows.
"""

from __future__ import annotations

import logging
from collections import Counter

from headrace.data.corrections import FOLDER as CORRECTIONS
from headrace.data.corrections import drop_items
from headrace.data.forgetting import delete_unrecorded, take_out
from headrace.data.forgotten import ForgottenItems
from headrace.progress import counted
from headrace.records import SnapshotRecord
from headrace.retention.forgetting import goldens, places
from headrace.retention.forgetting.outcome import all_versions
from headrace.serving.requests import forgetting as requests
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.tracking.disposal import Disposal

log = logging.getLogger("headrace")


def delete(
    affected: list[SnapshotRecord], home: Home, forgotten: ForgottenItems
) -> Counter[str]:
    """Delete what shows forgotten items.

    Args:
        affected: the snapshots that have them.
        forgotten: the tombstones.

    Returns:
        how much was deleted, by kind.
    """
    anchored, settings = home.anchored, home.settings
    digests = {snapshot.digest for snapshot in affected}
    every = all_versions(anchored.ledger)
    versions = [one for one in every if one.snapshot_digest in digests]
    left = delete_unrecorded(anchored, forgotten)
    counts = Counter({"snapshots without a record": left})
    log.info("forget: request logs")
    asked = {*requests.count(settings, forgotten.has_items)}
    asked |= places.monitored_models(anchored, forgotten)
    counts += places.delete_judged(anchored.store, forgotten)
    for name in anchored.store.names(CORRECTIONS):
        dropped = drop_items(anchored, name, forgotten.has_items)
        counts["corrected labels"] += dropped
    if digests or asked:
        log.info("forget: pages, pictures and results")
        disposal = Disposal(settings)
        runs = disposal.stored_runs()
        models = {version.model for version in versions} | asked
        counts += places.delete_pages(disposal, anchored, runs, digests, models)
    if digests:
        counts += places.delete_results(anchored, digests)
        counts += _delete_of_versions(versions, home, forgotten)
    for snapshot in counted(affected, "forget", "snapshots"):
        take_out(anchored, snapshot, forgotten)
    counts += places.take_out_of_monitoring(anchored, forgotten)
    taken_out = requests.take_out(settings, forgotten.has_items)
    counts["rows of request logs"] += sum(taken_out.values())
    return +counts


def _delete_of_versions(
    versions: list[Version], home: Home, forgotten: ForgottenItems
) -> Counter[str]:
    """Delete what is of versions."""
    digests = {version.model_digest for version in versions}
    counts = places.delete_made(home.anchored, "model", digests)
    for version in versions:
        counts["golden answers"] += goldens.delete(version, home, forgotten)
    counts += places.delete_made(home.anchored, "none", ())
    return counts
