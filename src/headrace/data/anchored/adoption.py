"""Taking over, once, what the store of an older release holds."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator

from pydantic import ValidationError

from headrace.data.anchored.store import AnchoredStore
from headrace.errors import IntegrityError
from headrace.records import MANIFEST, SnapshotRecord
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.store import Store

# Folders of files that count, and how many folders lie between.
_FOLDERS = {"stages": 0, "quarantine": 0, "studies": 0}
_FOLDERS |= dict.fromkeys(("pipelines", "backfills", "trainings", "checkpoints"), 1)

log = logging.getLogger("headrace")


def open_anchored(settings: Settings) -> AnchoredStore:
    """The store and the ledger of the settings.

    Where the ledger was made by an older release, what the store holds is recorded
    first, as it is; snapshots are read and must be what their names say.
    """
    kept = AnchoredStore(Store(settings.store), Ledger(settings.database_url))
    if kept.ledger.awaits_adoption:
        digests = dict(_files(kept.store)) | dict(_snapshots(kept.store))
        if kept.ledger.adopt_store(digests, settings.user):
            log.warning(
                "The store %s was filled by an older Headrace. The sha256 of its %d "
                "files is recorded in the ledger now; whether anyone changed them "
                "before cannot be told.",
                settings.store,
                len(digests),
            )
    return kept


def _files(store: Store) -> Iterator[tuple[str, str]]:
    for folder, depth in _FOLDERS.items():
        names = store.names(folder)
        keys = [f"{folder}/{name}" for name in names]
        if depth:
            keys = [f"{key}/{name}" for key in keys for name in store.names(key)]
        for key in keys:
            try:
                yield key, hashlib.sha256(store.read(key)).hexdigest()
            except OSError:
                continue


def _snapshots(store: Store) -> Iterator[tuple[str, str]]:
    from headrace.data.snapshots import check_snapshot

    for name in store.names("snapshots"):
        key = f"snapshots/{name}/{MANIFEST}"
        try:
            data = store.read(key)
            snapshot = described(data, store.uri(f"snapshots/{name}"))
            log.info("checking the snapshot %s", name[:16])
            check_snapshot(snapshot.model_copy(update={"digest": name}))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, IntegrityError) as error:
            log.warning("%s is not taken over: %s", store.uri(key), error)
            continue
        yield key, hashlib.sha256(data).hexdigest()


def described(manifest: bytes, uri: str) -> SnapshotRecord:
    """The record of a snapshot, as its manifest has it; raises ValueError."""
    from headrace.data.snapshots import Manifest

    try:
        own = set(Manifest.model_fields)
        facts = {k: v for k, v in json.loads(manifest).items() if k not in own}
        sha256 = hashlib.sha256(manifest).hexdigest()
        place = {"uri": uri, "manifest_sha256": sha256}
        return SnapshotRecord.model_validate({**facts, **place})
    except (AttributeError, RecursionError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the manifest is of another form: {reason}") from None
