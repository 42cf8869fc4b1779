"""What a version is compared with: its reference profile, and the items of its own.

A profile is made once, and kept in the store as
``profiles/<sha256 of the model>.npz``; a file that is damaged is made again.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from functools import partial
from pathlib import Path

import numpy as np

from headrace.data.snapshots.reading import DIGEST, find_snapshot
from headrace.data.snapshots.splits import SplitRows
from headrace.errors import HeadraceError, IntegrityError
from headrace.models.logged import loading
from headrace.monitoring.batches import Batch
from headrace.monitoring.profiles import HeldOut, Profile, make_profile
from headrace.records import SnapshotRecord
from headrace.settings import Settings
from headrace.stages import ingredients
from headrace.stages.evaluation.comparison import learned_from
from headrace.state.folders import in_store
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.store import Store
from headrace.state.tracking import Tracking
from headrace.tasks import check_asks_items

MOST_BYTES = 2**30  # of held-out items in memory
_HEX = 64
log = logging.getLogger("headrace")


def profile_key(version: Version) -> str:
    """Where the store has the profile of a version."""
    return f"profiles/{version.model_digest}.npz"


def find_profile(version: Version, settings: Settings) -> Profile | None:
    """The kept profile of a version; None if there is none, or it is damaged.

    Raises:
        DependencyError: the store or the ledger does not answer.
    """
    data = Home(settings).store.find(profile_key(version))
    if data is None:
        return None
    try:
        profile = Profile.from_bytes(data)
    except IntegrityError as error:
        log.warning("the profile of %s is made again: %s", version, error.message)
        return None
    return profile if profile.facts.model_digest == version.model_digest else None


def ensure_profile(version: Version, settings: Settings) -> Profile:
    """The reference profile of a version, made and kept if the store lacks it.

    Idempotent, and safe in several processes at once. It takes seconds to minutes: the
    model answers the held-out rows once.

    Args:
        version: of the ledger.
        settings: where the store, the ledger and MLflow are.

    Raises:
        UsageError: the version is asked something else than items.
        IntegrityError: the version's snapshot or its model is gone or damaged.
        DependencyError: a place does not answer, or a disk is full.
    """
    check_asks_items(str(version), version.description)
    profile = find_profile(version, settings)
    if profile is not None:
        return profile
    store, tracking = Home(settings).store, Home(settings).tracking
    snapshot = snapshot_of(version, store)
    held_out = read_held_out(snapshot, quarantine_of(version, store, tracking))
    log.info(
        "monitor: making the reference profile of %s from %s held-out rows, once",
        version,
        f"{len(held_out.targets):,}",
    )
    loaded = loading.load_version(tracking, version)
    answer = partial(loading.answers, loaded.model)
    profile = make_profile(answer, held_out, loaded.description, version.model_digest)
    store.write(profile_key(version), profile.to_bytes())
    return profile


def snapshot_of(version: Version, store: Store) -> SnapshotRecord:
    """The snapshot of a version.

    Raises:
        IntegrityError: the store does not have it.
    """
    snapshot = find_snapshot(store, version.snapshot_digest)
    if snapshot is None:
        raise IntegrityError(
            f"The snapshot of {version} is gone: "
            f"{store.uri(f'snapshots/{version.snapshot_digest}')}. Without "
            "its held-out rows there is nothing to compare with.",
            "Restore it from a backup, or ingest the same data again: `headrace check "
            f"{version.model} --data default`. Else train a new version.",
        )
    return snapshot


def quarantine_of(version: Version, store: Store, tracking: Tracking) -> str:
    """The URI of the quarantine of a version's training; empty if there was none.

    The record of the training has it. Where that is lost, quarantined rows count as
    others, which is logged.
    """
    try:
        run = tracking.find_run(version.run_id)
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            restored = ingredients.restore(
                Path(place),
                run.tags.get(ingredients.TAG, ""),
                partial(tracking.run_file, run.run_id),
            )
    except HeadraceError as error:
        log.warning(
            "the record of the training of %s cannot be read, so that rows of its "
            "quarantine are in its profile: %s",
            version,
            error.message,
        )
        return ""
    return in_store(restored.contract, store).quarantine_uri


def read_held_out(snapshot: SnapshotRecord, quarantine_uri: str) -> HeldOut:
    """The rows of test and val that are not quarantined, those of test first.

    Rows are in hash order, so the first ones, up to `MOST_BYTES` of both splits, are a
    random sample. A quarter of that is for val.

    Raises:
        IntegrityError: the snapshot or the quarantine is damaged.
    """
    items, targets, digests, is_val = [], [], [], []
    for split, share in (("test", 0.75), ("val", 0.25)):
        size = 0
        rows = SplitRows(snapshot, split, quarantine_uri)
        for shard in np.flatnonzero(rows.counts).tolist():
            if size > share * MOST_BYTES:
                break
            part = rows.read(shard)
            size += part.items.nbytes
            items.append(part.items)
            targets.append(part.targets)
            text = rows.items_of(shard).tobytes().hex()
            digests += [text[n : n + _HEX] for n in range(0, len(text), _HEX)]
            is_val += [split == "val"] * len(part.targets)
    if not items:
        raise IntegrityError(
            f"The snapshot {snapshot.uri} has no held-out rows: neither test nor val.",
            "Train a version on data with a test split.",
        )
    return HeldOut(
        np.concatenate(items),
        np.concatenate(targets),
        np.array(digests, object),
        np.array(is_val, bool),
    )


class OwnItems:
    """The items that a version learned from, and those that windows are compared with.

    Args:
        version: of the ledger. Where its snapshot is gone, the reference is what is
            left.
        profile: of it.
        settings: where the store is.
    """

    def __init__(self, version: Version, profile: Profile, settings: Settings) -> None:
        self._reference = set(profile.items.tolist())
        self._snapshot = None
        with contextlib.suppress(IntegrityError):
            self._snapshot = snapshot_of(version, Home(settings).store)

    def others(self, batch: Batch) -> Batch:
        """The rows of other items; those that are left out are counted as `own`."""
        own = self._reference.intersection(batch.items.tolist())
        if self._snapshot is not None and len(batch):
            digests = np.array([bytes.fromhex(item) for item in batch.items], DIGEST)
            with contextlib.suppress(IntegrityError):
                learned = learned_from(self._snapshot, digests)
                own |= set(batch.items[learned].tolist())
        return batch.without(own)


def note_of_labels(labelled: Batch, others: Batch) -> tuple[str, ...]:
    """A note on labels that do not count, if there are any.

    Args:
        labelled: the rows with a label.
        others: those of them whose items the version does not know.
    """
    left_out = len(set(labelled.items)) - len(set(others.items))
    if not left_out:
        return ()
    return (
        "items whose labels are left out, as they are in the data that the version was "
        f"trained or evaluated on: {left_out:,}",
    )
