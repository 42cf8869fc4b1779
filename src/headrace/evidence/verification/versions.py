"""What of versions is not as the ledger has it: files, copies, cards.

Beside those, what only a champion must have: its record in MLflow, and its data.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from headrace.data.snapshots.reading import files_of, find_snapshot
from headrace.errors import IntegrityError, NotFoundError
from headrace.models.logged.soundness.copies import (
    copied_files,
    copy_key,
    mend_copy,
)
from headrace.records import MANIFEST
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Mismatch, Version
from headrace.state.regular import UnusableFileError
from headrace.state.tracking import MODEL_FILE, REPORT_FILE
from headrace.state.tracking.artifacts import how_changed, model_places

_MEND = (
    "Somebody has written there. See who may, and run `headrace verify {} --repair`."
)


def other_mismatches(version: Version, home: Home) -> Iterator[Mismatch]:
    """The files of a version beside its model that are not as recorded.

    Files that are gone are left out: a logged model works without them, and a copy is
    made again.

    Raises:
        DependencyError: the store or MLflow does not answer.
    """
    name, store = f"{version.model}/{version.version}", home.store
    for folder in model_places(version, home.settings.artifacts):
        for path, digest in version.details.get("files", {}).items():
            place = f"{folder}/{path}"
            if how_changed(place, digest, _size_of(place, version)) == "was changed":
                message = (
                    f"{place} was changed: it is not the file that was registered."
                )
                action = _MEND.format(name)
                yield Mismatch.of(version, "model", f"file {path}", message, action)
    for path, digest in copied_files(version).items():
        key = copy_key(version, path)
        with contextlib.suppress(FileNotFoundError):
            message = f"{store.uri(key)} was changed: it is not the copy that was made."
            try:
                if store.digest(key, _size_of(path, version)) == digest:
                    continue
            except UnusableFileError as error:
                message = f"{error}."
            action, what = mend_copy(version), f"copy {path}"
            yield Mismatch.of(version, "store", what, message, action)
    digest = home.ledger.anchors([key := card_key(version.run_id)]).get(key, "")
    try:
        if digest:
            home.tracking.run_file(version.run_id, REPORT_FILE, digest)
    except IntegrityError as error:
        if not isinstance(error.__cause__, NotFoundError | OSError):
            message = f"{name}: {error.message}"
            yield Mismatch.of(version, "mlflow", f"file {REPORT_FILE}", message)


def _size_of(path: str, version: Version) -> int:
    """The bytes of a file of a logged model; 0 where they are not known."""
    return version.model_bytes if path.endswith(f"/{MODEL_FILE}") else 0


def data_mismatch(version: Version, home: Home) -> Iterator[Mismatch]:
    """What is wrong with the files of a version's snapshot; at most one.

    Raises:
        DependencyError: the store does not answer.
    """
    store, recorded = home.store, manifest_digest(version, home.ledger)
    uri = store.uri(f"snapshots/{version.snapshot_digest}/{MANIFEST}")
    if problem := how_changed(uri, recorded):
        problem = f"The data of {version}: {uri} {problem}."
    elif not (snapshot := find_snapshot(store, version.snapshot_digest, recorded)):
        problem = f"The data of {version}: {uri} cannot be read."
    else:
        try:
            for name, sha256, size in files_of(snapshot):
                uri = f"{snapshot.uri}/{name}"
                if how := how_changed(uri, sha256, size):
                    problem = f"The data of {version}: {uri} {how}."
                    break
        except IntegrityError as error:
            problem = error.message
    if problem:
        yield Mismatch.of(version, "store", "snapshot", problem)


def manifest_digest(version: Version, ledger: Ledger) -> str:
    """sha256 of the manifest of a version's snapshot; empty if it was not recorded."""
    key = f"snapshots/{version.snapshot_digest}/{MANIFEST}"
    own = version.details.get("snapshot", {}).get("manifest_sha256", "")
    return ledger.anchors([key]).get(key, "") or str(own)
