"""What MLflow has of a version beside its model: kept in the store, compared, restored.

A record has the rows of MLflow's database about the version, its run and its logged
model, and the digests of the run's files. Records are added, never overwritten, and
their digests are in the ledger; the last one counts. The files themselves are kept by
their digest, as long as all of them are not larger than `MAX_BYTES`.
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from headrace.errors import HeadraceError
from headrace.state.anchored import as_json
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE, REPORT_FILE
from headrace.state.tracking.artifacts import (
    digest_at,
    how_changed,
    local_path,
    model_places,
    put,
    run_places,
)
from headrace.state.tracking.rows import Rows, TrackingRows, database_of

FOLDER = "tracking"
MAX_BYTES = 64 * 2**20

log = logging.getLogger("headrace")


class TrackedRecord:
    """The record of a version.

    Args:
        version: its row in the ledger.
        home: its ledger has the digests of records.
    """

    def __init__(self, version: Version, home: Home) -> None:
        self._version = version
        self._settings = settings = home.settings
        self._anchored = home.anchored
        url = database_of(settings)
        self._rows = TrackingRows(settings, url) if url else None
        self._folder = f"{FOLDER}/{version.model}/{version.version}"

    def read(self) -> dict[str, Any]:
        """The last record; empty if there is none."""
        store = self._anchored.store
        keys = [f"{self._folder}/{name}" for name in store.names(self._folder)]
        for key in reversed(list(self._anchored.ledger.anchors(keys))):
            record = self._anchored.read_json(key)
            if isinstance(record, dict):
                return record
        return {}

    def keep(self, *, is_ours: bool = False) -> bool:
        """Add a record, unless it equals the last one; returns whether it did.

        What was changed behind Headrace's back is not recorded.

        Args:
            is_ours: Headrace has changed the files itself.

        Raises:
            DependencyError: the store or the ledger does not answer.
            SQLAlchemyError: MLflow's database does not answer.
        """
        rows = self._rows.read(self._version) if self._rows else {}
        if not is_ours and self.mismatches(rows):
            return False
        record = {
            "rows": rows,
            "files": self._keep_files(),
            "evidence": self._evidence(),
        }
        if record == self.read():
            return False
        data = as_json(record)
        digest = hashlib.sha256(data).hexdigest()
        self._anchored.write(f"{self._folder}/{digest[:32]}.json", data)
        return True

    def mismatches(self, rows: Rows | None = None) -> list[Mismatch]:
        """Where MLflow's rows and the run's files differ from the record.

        Files may change when the version is evaluated anew, which adds evidence.

        Args:
            rows: MLflow's; by default they are read.
        """
        record, mismatches = self.read(), list[Mismatch]()
        if not record:
            return mismatches
        version = self._version
        if self._rows is not None:
            mismatches += self._rows.mismatches(version, record["rows"], rows)
        is_judged_anew = record["evidence"] != self._evidence()
        for place, path, digest in self._recorded_files(record):
            how = how_changed(f"{place}/{path}", digest)
            if not how or (how == "was changed" and is_judged_anew):
                continue
            message = f"The file {path} of {version} {how} ({place})."
            mismatches.append(Mismatch.of(version, "mlflow", f"file {path}", message))
        return mismatches

    def restore(self) -> list[str]:
        """Write rows and files back as they were recorded; returns the steps done."""
        record, done = self.read(), list[str]()
        if record and self._rows is not None:
            done += self._rows.restore(self._version, record["rows"])
        store = self._anchored.store
        # The first record of a champion is made before its run has a report.
        record["files"] = {REPORT_FILE: "", **record.get("files", {})}
        for place, path, digest in self._recorded_files(record):
            if not how_changed(f"{place}/{path}", digest):
                continue
            try:
                content = store.read(f"{FOLDER}/files/{digest}")
            except FileNotFoundError:
                content = self._from_copy(path)
            if hashlib.sha256(content).hexdigest() != digest:
                log.warning("the store has no whole copy of %s", path)
                continue
            self._put(place, path, content)
            done.append(f"put {path} back from the store's copy")
        return done

    def _evidence(self) -> int:
        name, number = self._version.model, self._version.version
        last = self._anchored.ledger.latest_evidence(name, number)
        return (last.id or 0) if last else 0

    def _keep_files(self) -> dict[str, str]:
        """Copy the files of the run into the store; their digests by path."""
        files, store, digests = dict(self._run_files()), self._anchored.store, {}
        is_small = sum(f.stat().st_size for f in files.values()) <= MAX_BYTES
        for path, file in files.items():
            digests[path] = digest = digest_at(str(file))
            key = f"{FOLDER}/files/{digest}"
            if is_small and not store.exists(key):
                store.write(key, file.read_bytes())
        return digests

    def _run_files(self) -> Iterator[tuple[str, Path]]:
        for place in run_places(self._version, self._settings.artifacts):
            folder = local_path(place)
            if folder is not None and folder.is_dir():
                for file in sorted(folder.rglob("*")):
                    if file.is_file() and not file.name.startswith("."):
                        yield file.relative_to(folder).as_posix(), file
                return

    def _recorded_files(self, record: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
        """(folder, path, digest) of the files of the run and of the logged model.

        Without the model's file and the golden file, which are checked by themselves.
        The report is that of the last run that trained the version or promoted it.
        While items are being forgotten, the files of the run are left out: they go.
        """
        card = card_key(self._version.run_id)
        report = self._anchored.ledger.anchors([card]).get(card)
        artifacts = self._settings.artifacts
        details = self._version.details.get("files", {})
        own = {} if self._anchored.ledger.open_forgettings() else record["files"]
        for places, files in (
            (run_places(self._version, artifacts), own),
            (model_places(self._version, artifacts), details),
        ):
            if local_path(places[0]) is not None:
                for path, digest in files.items():
                    if path == REPORT_FILE and (report or digest):
                        yield places[0], path, report or digest
                    elif path not in {MODEL_FILE, GOLDEN_FILE, REPORT_FILE}:
                        yield places[0], path, digest

    def _from_copy(self, path: str) -> bytes:
        """A file of the logged model from the copy that was made at registration.

        Or the run's report, from that of its page.
        """
        key = f"models/{self._version.model_digest}/logged/{path}"
        if path == REPORT_FILE:
            key = card_key(self._version.run_id)
        try:
            return self._anchored.store.read(key)
        except FileNotFoundError:
            return b""

    def _put(self, place: str, path: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            file = Path(folder) / "file"
            file.write_bytes(content)
            put(self._settings.tracking_uri, place, path, file)


def keep_anew(versions: Iterable[Version], home: Home) -> int:
    """Record versions again whose files Headrace has changed.

    Copies of files that no last record has are deleted; returns how many.

    Raises:
        DependencyError: the store or the ledger does not answer.
        SQLAlchemyError: MLflow's database does not answer.
    """
    for version in versions:
        record = TrackedRecord(version, home)
        if record.read():
            record.keep(is_ours=True)
    needed = set()
    for model in home.ledger.models():
        for version in home.ledger.versions(model):
            files = TrackedRecord(version, home).read().get("files", {})
            needed |= {*files.values()}
    store = home.store
    gone = [name for name in store.names(f"{FOLDER}/files") if name not in needed]
    for name in gone:
        store.delete(f"{FOLDER}/files/{name}")
    return len(gone)


def keep_record(version: Version, home: Home) -> None:
    """Add the record of a version; a failure is only logged.

    The version is registered or promoted, and the next check makes the record.
    """
    try:
        TrackedRecord(version, home).keep()
    except (HeadraceError, sa.exc.SQLAlchemyError, OSError) as error:
        log.warning("%s: its record in MLflow was not copied: %s", version, error)
