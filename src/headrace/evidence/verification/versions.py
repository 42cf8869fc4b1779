"""What of a version is not as the ledger has it, beside its model and golden file."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.data.snapshots.checking import check_snapshot
from headrace.data.snapshots.reading import find_snapshot
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
    """What is wrong with a version's snapshot, which is read whole; at most one.

    What was collected or forgotten is not missed.
    """
    key = f"snapshots/{version.snapshot_digest}"
    place, is_gone = home.store.uri(key), not home.store.exists(f"{key}/{MANIFEST}")
    problem = f"{place}/{MANIFEST} is gone."
    if is_gone and key in home.ledger.disposals.collected():
        return
    if not is_gone:
        try:
            snapshot = find_snapshot(home.store, version.snapshot_digest)
            if snapshot is not None:
                check_snapshot(snapshot)
                return
            problem = f"{place}/{MANIFEST} cannot be read."
        except IntegrityError as error:
            problem = error.message
    message = f"The data of {version}: {problem}"
    found = Mismatch.of(version, "store", "snapshot", message)
    yield found.model_copy(update={"is_gone": is_gone})
