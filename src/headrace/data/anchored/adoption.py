"""Adoption of a store by an older release, once."""

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

# Folders of evidence, and how many folders lie between them and the files.
_FOLDERS = {"stages": 0, "quarantine": 0, "studies": 0}
_FOLDERS |= dict.fromkeys(("pipelines", "backfills", "trainings", "checkpoints"), 1)

log = logging.getLogger("headrace")


def open_anchored(settings: Settings) -> AnchoredStore:
    """The store and the ledger of the settings.

    If the ledger is by an older release, the files of the store are recorded first, as
    they are; snapshots are read and checked against their names.
    """
    anchored = AnchoredStore(Store(settings.store), Ledger(settings.database_url))
    if anchored.ledger.awaits_adoption:
        digests = dict(_files(anchored.store)) | dict(_snapshots(anchored.store))
        if anchored.ledger.adopt_store(digests, settings.user):
            log.warning(
                "The store %s was filled by an older Headrace. The sha256 of its %d "
                "files is recorded in the ledger now; whether anyone changed them "
                "before cannot be told.",
                settings.store,
                len(digests),
            )
    return anchored


def _files(store: Store) -> Iterator[tuple[str, str]]:
    for folder, depth in _FOLDERS.items():
        keys = [f"{folder}/{name}" for name in store.names(folder)]
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
    """The record of a snapshot from its manifest; raises ValueError."""
    from headrace.data.snapshots import Manifest

    try:
        facts = json.loads(manifest)
        facts = {k: v for k, v in facts.items() if k not in Manifest.model_fields}
        sha256 = hashlib.sha256(manifest).hexdigest()
        return SnapshotRecord.model_validate(
            {**facts, "uri": uri, "manifest_sha256": sha256}
        )
    except (AttributeError, RecursionError, ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the manifest is of another form: {reason}") from None
