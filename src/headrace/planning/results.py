"""The results of stages: stored by key, and checked against the ledger."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from headrace.data.anchored import AnchoredStore, as_json, open_anchored
from headrace.models.logged.soundness.checks import find_flaws
from headrace.planning.keys import Key
from headrace.records import (
    MANIFEST,
    ContractRecord,
    Record,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.stages.registration import as_bound, training_key
from headrace.state.ledger import Ledger
from headrace.state.store import Store

R = TypeVar("R", bound=Record)
T = TypeVar("T", bound=TrainingRecord)
_QUARANTINE_SHA = re.compile(r"-([0-9a-f]{64})\.parquet$")

log = logging.getLogger("headrace")


class Saved(Record):
    """The stored result of a stage.

    Attributes:
        ingredients: all that it depends on, by name.
        record: the stage's record.
    """

    stage: str
    pipeline: str
    ingredients: dict[str, str]
    record: dict[str, Any]
    seconds: float


class Results:
    """The stored results of one pipeline's stages, by the keys of the stages."""

    spec: PipelineSpec
    store: Store
    settings: Settings

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of the home."""
        return open_anchored(self.settings).ledger

    @property
    def anchored(self) -> AnchoredStore:
        """The files of the store whose digests are in the ledger."""
        return AnchoredStore(self.store, self.ledger)

    def find(self, key: Key, kind: type[R]) -> R | None:
        """The result of a stage, if the store has it."""
        saved = self.anchored.read_record(_place(key), Saved)
        if saved is None:
            return None
        try:
            record = in_store(kind.model_validate(saved.record), self.store)
        except ValidationError:  # of an older release
            return None
        if isinstance(record, TrainingRecord):
            return self._as_registered(record)
        if isinstance(record, SnapshotRecord):
            return cast(R | None, self.with_manifest(record))
        if isinstance(record, ContractRecord) and record.quarantine_uri:
            return record if self.store.exists(_quarantine(record)) else None
        return record

    def _as_registered(self, training: T) -> T | None:
        """A training with the present files of its version; None if they are lost."""
        version = self.ledger.find_training(self.spec.name, training_key(training))
        if version is None:
            return training
        if find_flaws(version, self.settings):
            return None
        return as_bound(training, version)

    def with_manifest(self, record: SnapshotRecord) -> SnapshotRecord | None:
        """A snapshot's record, if its manifest has the recorded digest."""
        key = f"snapshots/{record.digest}/{MANIFEST}"
        if not record.manifest_sha256:  # of an older release
            sha256 = self.ledger.anchors([key]).get(key, "")
            record = record.model_copy(update={"manifest_sha256": sha256})
        try:
            sha256 = hashlib.sha256(self.store.read(key)).hexdigest()
        except FileNotFoundError:
            return None
        if sha256 == record.manifest_sha256:
            return record
        log.warning(
            "%s was changed since it was recorded, so it is ignored.",
            self.store.uri(key),
        )
        return None

    def forget(self, key: Key) -> None:
        """Delete a stage's result, so that it is made again."""
        self.anchored.delete(_place(key))

    def save(self, key: Key, record: Record, seconds: float) -> None:
        """Store the result of a stage."""
        saved = Saved(
            stage=key.stage,
            pipeline=self.spec.name,
            ingredients=key.ingredients,
            record=record.model_dump(mode="json"),
            seconds=round(seconds, 3),
        )
        data = as_json(saved.model_dump())
        self.anchored.write_all(
            {_place(key): data, self._latest(key.stage): data}, _parts(record)
        )

    def find_or_make(self, key: Key, kind: type[R], make: Callable[[], R]) -> R:
        """The result of a stage, which is made and saved if the store lacks it."""
        record = self.find(key, kind)
        if record is None:
            record = make()
            self.save(key, record, 0.0)
        return record

    def why(self, key: Key) -> str:
        """Why a stage has to run: how its key differs from the last one's."""
        latest = self.anchored.read_record(self._latest(key.stage), Saved)
        if latest is not None:
            return key.why(latest.ingredients) or "its result is gone from the store"
        begun = self.anchored.read_json(self._begun(key.stage))
        changes = key.why(begun) if isinstance(begun, dict) else ""
        return f"since a run that did not end: {changes}" if changes else "first run"

    def begin(self, key: Key) -> None:
        """Note what a long stage depends on; `why` compares, where it does not end."""
        self.anchored.write_json(self._begun(key.stage), key.ingredients)

    @property
    def last_snapshot(self) -> str:
        """The digest of the pipeline's last snapshot; empty if it had none."""
        latest = self.anchored.read_record(self._latest("ingest"), Saved)
        return str(latest.record.get("digest", "")) if latest else ""

    def _latest(self, stage: str) -> str:
        return f"pipelines/{self.spec.name}/{stage}.json"

    def _begun(self, stage: str) -> str:
        return f"pipelines/{self.spec.name}/{stage}-begun.json"


def in_store(record: R, store: Store) -> R:
    """A record with the URIs that its files have in this store: a home may be moved."""
    if isinstance(record, SnapshotRecord):
        uri = store.uri(f"snapshots/{record.digest}")
        return record.model_copy(update={"uri": uri})
    if isinstance(record, ContractRecord):
        docs = "/".join(record.docs_uri.rsplit("/", 3)[1:])  # data_docs/NAME/index.html
        uris = {"docs_uri": store.uri(docs)} if docs else {}
        if record.quarantine_uri:
            uris["quarantine_uri"] = store.uri(_quarantine(record))
        return record.model_copy(update=uris)
    return record


def _place(key: Key) -> str:
    return f"stages/{key.fingerprint}.json"


def _quarantine(record: ContractRecord) -> str:
    return f"quarantine/{Path(record.quarantine_uri).name}"


def _parts(record: Record) -> dict[str, str]:
    """sha256 by key of the files that a record points to."""
    if isinstance(record, SnapshotRecord) and record.manifest_sha256:
        return {f"snapshots/{record.digest}/{MANIFEST}": record.manifest_sha256}
    if isinstance(record, ContractRecord):
        named = _QUARANTINE_SHA.search(record.quarantine_uri)
        return {_quarantine(record): named.group(1)} if named else {}
    return {}
