"""What of a version is not as the ledger has it, beside its model and golden file."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.snapshots.reading import files_of, find_snapshot
from headrace.errors import IntegrityError
from headrace.models.logged.soundness.copies import copied_files, copy_key, mend_copy
from headrace.records import MANIFEST
from headrace.stages.promotion.registry import registry_mismatches
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.tracking import MODEL_FILE
from headrace.state.tracking.artifacts import how_changed, model_places


def other_mismatches(version: Version, home: Home) -> Iterator[Mismatch]:
    """The other logged files of a version and its copy, where they were changed.

    Those that are gone are left out: a logged model works without them, and a copy is
    made again.

    Raises:
        DependencyError: the store or MLflow does not answer.
    """
    for path, digest in copied_files(version).items():
        place = home.store.uri(copy_key(version, path))
        if how_changed(place, digest) == "was changed":
            message = f"{place} was changed: it is not the copy that was made."
            mend = mend_copy(version)
            yield Mismatch.of(version, "store", f"copy {path}", message, mend)
    folder = model_places(version, home.settings.artifacts)[0]
    for path, digest in version.details.get("files", {}).items():
        place = f"{folder}/{path}"
        if path != MODEL_FILE and how_changed(place, digest) == "was changed":
            message = f"{place} was changed: it is not what was registered."
            yield Mismatch.of(version, "model", f"file {path}", message)


def champion_mismatches(version: Version, home: Home) -> Iterator[Mismatch]:
    """MLflow's entries of a champion, and its data.

    Raises:
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    for one in registry_mismatches(version.model, home):
        if one.version == version.version or one.what.startswith("alias "):
            yield one
    yield from run_mismatch(version, home)
    yield from data_mismatch(version, home)


def run_mismatch(version: Version, home: Home) -> Iterator[Mismatch]:
    """Whether the run of a version was deleted in MLflow; at most one."""
    if home.tracking.is_deleted(version.run_id):
        what = f"run {version.run_id}"
        message = f"MLflow's {what} of {version.model}/{version.version} was deleted."
        yield Mismatch.of(version, "mlflow", what, message)


def data_mismatch(version: Version, home: Home) -> Iterator[Mismatch]:
    """What is wrong with the files of a version's snapshot; at most one.

    What was collected or forgotten is not missed.
    """
    store, recorded, problem = home.store, manifest_digest(version, home), ""
    if f"snapshots/{version.snapshot_digest}" in home.ledger.disposals.collected():
        return
    uri = store.uri(f"snapshots/{version.snapshot_digest}/{MANIFEST}")
    try:
        if how := how_changed(uri, recorded):
            problem = f"The data of {version}: {uri} {how}."
        elif snapshot := find_snapshot(store, version.snapshot_digest, recorded):
            for name, sha256 in files_of(snapshot):
                if how := how_changed(f"{snapshot.uri}/{name}", sha256):
                    problem = f"The data of {version}: {snapshot.uri}/{name} {how}."
                    break
        else:
            problem = f"The data of {version}: {uri} cannot be read."
    except IntegrityError as error:
        problem = error.message
    if problem:
        yield Mismatch.of(version, "store", "snapshot", problem)


def manifest_digest(version: Version, home: Home) -> str:
    """sha256 of the manifest of a version's snapshot; empty if it was not recorded."""
    key = f"snapshots/{version.snapshot_digest}/{MANIFEST}"
    own = version.details.get("snapshot", {}).get("manifest_sha256", "")
    return home.ledger.files.anchors([key]).get(key, "") or str(own)
