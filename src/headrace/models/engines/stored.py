"""Engines that are kept in the store, below the digest of the model they are made of.

A record says which engine was admitted, or why none was. It counts with the digest that
the ledger has of it, and the engine's files with those that the record has. Opening one
imports neither TensorFlow nor MLflow, and a version's own files are looked up without
MLflow where they are on this machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from headrace.errors import IntegrityError
from headrace.models.engines import forms
from headrace.models.engines.forms import TOLERANCE, Engine
from headrace.models.logged.copies import zeros_key
from headrace.models.logged.golden import Golden
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger.records import Version

GOLDEN = "golden.npz"
_RECORD = "record.json"
log = logging.getLogger("headrace")


class Tensor(Record):
    """The input of an exported model.

    Attributes:
        dtype: Keras's name of it: ``float32`` or ``string``.
        shape: of one item; None where it may have any size.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class BuildAttempt(Record):
    """The result of one export.

    Attributes:
        engine: its format.
        libraries: the versions that the result depends on.
        difference: the largest difference of an answer from the golden ones,
            over all forms of input; None where it gave none.
        latency_ms: median of warm calls with one item, milliseconds.
        input: what it takes; None where it could not be exported.
        reason: why it was not admitted; empty if it was.
    """

    engine: str
    libraries: Mapping[str, str] = {}
    difference: float | None = None
    latency_ms: float | None = None
    input: Tensor | None = None
    reason: str = ""


class EngineRecord(Record):
    """What is kept for a model.

    Attributes:
        model_digest: sha256 of its Keras file.
        attempt: the export, which was admitted if it has no reason against it.
        files: sha256 of the engine's files and of the golden file, by name.
    """

    model_digest: str
    attempt: BuildAttempt
    files: Mapping[str, str] = {}

    @property
    def engine(self) -> str:
        """The admitted one; ``keras`` if there is none."""
        return "keras" if self.attempt.reason else self.attempt.engine

    @property
    def is_current(self) -> bool:
        """Whether another build can find nothing else with the present libraries."""
        known = forms.libraries(forms.SERVES)
        return not self.attempt.reason or self.attempt.libraries == known


class StoredEngine(NamedTuple):
    """An admitted engine: its record, and the content of its files by name."""

    record: EngineRecord
    files: Mapping[str, bytes]

    @property
    def golden(self) -> Golden:
        """The golden answers that it was admitted with; raises IntegrityError."""
        return Golden.read(self.files[GOLDEN])


def _key(digest: str, name: str) -> str:
    return f"engines/{digest}/{name}"


def read_record(version: Version, settings: Settings) -> EngineRecord | None:
    """The record of a version's model; None if there is none that counts."""
    key = _key(version.model_digest, _RECORD)
    record = Home(settings).store.read_record(key, EngineRecord)
    matches = record is not None and record.model_digest == version.model_digest
    return record if matches else None


def read_stored(version: Version, settings: Settings) -> StoredEngine | None:
    """The admitted engine of a version; None if a file is absent, or was changed."""
    record = read_record(version, settings)
    if record is None or record.engine != forms.SERVES:
        return None
    store, files = Home(settings).store, {}
    for name, digest in record.files.items():
        key = _key(version.model_digest, name)
        with contextlib.suppress(FileNotFoundError):
            files[name] = store.read(key)
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
            log.warning("%s is gone or changed: it is ignored", store.uri(key))
            return None
    return StoredEngine(record, files)


def keep(
    record: EngineRecord, files: Mapping[str, bytes], settings: Settings
) -> EngineRecord:
    """Keep an engine's files, and the record last; returns the record."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    record = record.model_copy(update={"files": digests})
    content = {**files, _RECORD: record.model_dump_json(indent=1).encode()}
    store = Home(settings).store
    for name, data in content.items():
        store.write(_key(record.model_digest, name), data)
    return record


def open_stored(version: Version, settings: Settings) -> Engine | None:
    """The admitted engine of a version, its golden answers replayed.

    Returns:
        None if none is stored, its runtime is not installed, or it answers differently
        here; the log has the reason.
    """
    stored = read_stored(version, settings)
    return stored and open_and_check(version, stored)


def open_and_check(version: Version, stored: StoredEngine) -> Engine | None:
    """Open an engine from its files and compare golden answers; see `open_stored`."""
    name = stored.record.engine
    if not forms.can_run(name):
        log.info("%s: %s is not installed: %s", version, name, forms.EXTRA)
        return None
    data = version.description
    try:
        golden = stored.golden
        engine = forms.open_files(name, stored.files, golden.outputs.shape[1:])
        difference = golden.difference(engine, data)
    except Exception as error:  # the runtimes' own are of all kinds
        if isinstance(error.__cause__, KeyboardInterrupt):  # amid an import of theirs
            raise error.__cause__ from None
        log.warning("%s: its engine %s does not open: %s", version, name, error)
        return None
    if difference > TOLERANCE:
        engine.close()
        log.warning(
            "%s: its engine %s differs from the golden answers by %.3g",
            version,
            name,
            difference,
        )
        return None
    return engine


@contextlib.contextmanager
def model_file(version: Version, settings: Settings) -> Iterator[Path]:
    """The Keras file of a version, checked by digest.

    Raises:
        IntegrityError: it is gone, perhaps for good, or not the file that was
            registered; and where the block raises one, the same with the version and
            how to repair it.
    """
    try:
        with Home(settings).tracking.version_file(version) as path:
            yield path
    except IntegrityError as error:
        Home(settings).ledger.facts.require_files(version, IntegrityError)
        raise IntegrityError(f"{version}: {error.message}", mend(version)) from error


def mend(version: Version) -> str:
    """What to do about a version whose files are damaged."""
    return f"Run `headrace verify {version.model}/{version.version} --repair`."


def golden_bytes(version: Version, settings: Settings) -> bytes:
    """The golden file of a version, checked if its digest is known.

    Raises:
        IntegrityError: it is gone or changed.
    """
    home = Home(settings)
    try:
        return home.tracking.version_golden(version)
    except IntegrityError:
        in_place = home.store.find(zeros_key(version))
        if in_place is not None and home.ledger.facts.is_deleted(version):
            return in_place
        home.ledger.facts.require_files(version, IntegrityError)
        raise
