"""The keys of stages, and their results by key, in the store."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from headrace.models.logged.checks import file_mismatches
from headrace.pipeline import PipelineSpec, law
from headrace.records import (
    MANIFEST,
    ContractRecord,
    Record,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.registration import find_version
from headrace.state.folders import in_store, quarantine_key
from headrace.state.home import Home

_SHOWN = 3
R = TypeVar("R", bound=Record)
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class StageKey:
    """All that a stage's result depends on, by name."""

    stage: str
    ingredients: dict[str, str]

    @property
    def fingerprint(self) -> str:
        """sha256 over the sorted ingredients."""
        text = json.dumps([self.stage, sorted(self.ingredients.items())])
        return hashlib.sha256(text.encode()).hexdigest()

    def why(self, before: Mapping[str, str]) -> str:
        """How the key differs from earlier ingredients, in words; may be empty."""
        changes = [
            change
            for name in sorted(before.keys() | self.ingredients.keys(), key=_by_kind)
            if before.get(name) != self.ingredients.get(name)
            for change in _changes(name, before.get(name), self.ingredients.get(name))
        ]
        more = f" and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
        return ", ".join(changes[:_SHOWN]) + more


def ingredients_of(
    spec: dict[str, Any], inputs: Mapping[str, str], code: Mapping[str, str]
) -> dict[str, str]:
    """All ingredients by name; each name begins with its kind."""
    return {
        **{f"spec {name}": value for name, value in _flatten(spec)},
        **{f"input {name}": value for name, value in inputs.items()},
        **code,
    }


def _flatten(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, item in value.items():
        if isinstance(item, dict):
            yield from _flatten(item, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(item, sort_keys=True, default=str)


def _by_kind(name: str) -> tuple[int, str]:
    """Sort what the user changed before its consequences."""
    return "spec input version code".find(name.partition(" ")[0]), name


def _changes(name: str, before: str | None, now: str | None) -> list[str]:
    kind, _, rest = name.partition(" ")
    if name in {"spec gates", "spec contract"}:  # lists of tables, by field
        old, new = ({rest: json.loads(text or "[]")} for text in (before, now))
        differ = [str(change) for change in law.changes(old, new)]
        return differ or [f"{rest} changed"]
    if kind in {"spec", "version"}:
        return [f"{rest} {before} → {now}"]
    if name == "input source":  # of local data, it is all that was looked at
        return ["source changed (size, time or place of a file)"]
    return [f"code of {rest}" if kind == "code" else f"{rest} changed"]


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

    def __init__(self, spec: PipelineSpec, folder: Path, home: Home) -> None:
        self.spec, self.folder, self.home = spec, folder, home
        self.settings = home.settings

    def find(self, key: StageKey, kind: type[R]) -> R | None:
        """The result of a stage, if the store has it."""
        saved = self.home.store.read_record(_place(key), Saved)
        if saved is None:
            return None
        try:
            record = in_store(kind.model_validate(saved.record), self.home.store)
        except ValidationError:
            return None
        if isinstance(record, TrainingRecord):
            version = find_version(self.spec.name, record, self.home.ledger)
            is_lost = version is not None and any(file_mismatches(version, self.home))
            return None if is_lost else record
        if isinstance(record, SnapshotRecord):
            return cast(R | None, self.with_manifest(record))
        if isinstance(record, ContractRecord) and record.quarantine_uri:
            return record if self.home.store.exists(quarantine_key(record)) else None
        return record

    def with_manifest(self, record: SnapshotRecord) -> SnapshotRecord | None:
        """A snapshot's record, if its manifest has the recorded digest."""
        key = f"snapshots/{record.digest}/{MANIFEST}"
        try:
            sha256 = hashlib.sha256(self.home.store.read(key)).hexdigest()
        except FileNotFoundError:
            return None
        if sha256 == record.manifest_sha256:
            return record
        uri = self.home.store.uri(key)
        log.warning("%s was changed since it was recorded, so it is ignored.", uri)
        return None

    def forget(self, key: StageKey) -> None:
        """Delete a stage's result, so that it is made again."""
        self.home.store.delete(_place(key))

    def save(self, key: StageKey, record: Record, seconds: float) -> None:
        """Store the result of a stage."""
        saved = Saved(
            stage=key.stage,
            pipeline=self.spec.name,
            ingredients=key.ingredients,
            record=record.model_dump(mode="json"),
            seconds=round(seconds, 3),
        )
        for place in (_place(key), self._latest(key.stage)):
            self.home.store.write_json(place, saved.model_dump())

    def find_or_make(self, key: StageKey, kind: type[R], make: Callable[[], R]) -> R:
        """The result of a stage, which is made and saved if the store lacks it."""
        record = self.find(key, kind)
        if record is None:
            record = make()
            self.save(key, record, 0.0)
        return record

    def why(self, key: StageKey) -> str:
        """Why a stage has to run: how its key differs from the last one's."""
        latest = self.home.store.read_record(self._latest(key.stage), Saved)
        if latest is not None:
            return key.why(latest.ingredients) or "its result is gone from the store"
        begun = self.home.store.read_json(self._begun(key.stage))
        changes = key.why(begun) if isinstance(begun, dict) else ""
        return f"since a run that did not end: {changes}" if changes else "first run"

    def begin(self, key: StageKey) -> None:
        """Note what a long stage depends on; `why` compares, where it does not end."""
        self.home.store.write_json(self._begun(key.stage), key.ingredients)

    @property
    def last_snapshot(self) -> str:
        """The digest of the pipeline's last snapshot; empty if it had none."""
        latest = self.home.store.read_record(self._latest("ingest"), Saved)
        return str(latest.record.get("digest", "")) if latest else ""

    def _latest(self, stage: str) -> str:
        return f"pipelines/{self.spec.name}/{stage}.json"

    def _begun(self, stage: str) -> str:
        return f"pipelines/{self.spec.name}/{stage}-begun.json"


def _place(key: StageKey) -> str:
    return f"stages/{key.fingerprint}.json"
