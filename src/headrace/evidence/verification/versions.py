"""Checks what belongs to a version beside its model: other files, copies, card."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from headrace.errors import IntegrityError, NotFoundError
from headrace.evidence.reporting import REPORT, card_key
from headrace.models.logged.soundness.copies import (
    copied_files,
    copy_key,
    mend_copy,
)
from headrace.settings import Settings
from headrace.state.disk import UnusableFileError
from headrace.state.ledger import Ledger, Version
from headrace.state.store import Store
from headrace.state.tracking import MODEL_FILE, Tracking
from headrace.state.tracking.artifacts import digest_at, model_places

Place = Literal["ledger", "store", "model", "mlflow"]
_MEND = "Somebody has written there. See who may, and run `headrace repair {}`."


def find_changed(
    version: Version, settings: Settings, ledger: Ledger, tracking: Tracking
) -> Iterator[tuple[Place, str, str]]:
    """The files of a version that are not as recorded.

    Files that are gone are left out: a logged model works without them, and a copy is
    made again.

    Yields:
        where the file is, what is wrong with it, and what to do.

    Raises:
        DependencyError: the store or MLflow does not answer.
    """
    name = f"{version.model}/{version.version}"
    for place, digest in _files(version, settings):
        actual = digest_at(place, _size_of(place, version))
        if actual and actual != digest:
            what = f"{place} was changed: it is not the file that was registered."
            yield "model", what, _MEND.format(name)
    store = Store(settings.store)
    for path, digest in copied_files(version).items():
        key = copy_key(version, path)
        try:
            actual = store.digest(key, _size_of(path, version))
        except UnusableFileError as error:
            yield "store", f"{error}.", mend_copy(version)
            continue
        except FileNotFoundError:
            continue
        if actual != digest:
            what = f"{store.uri(key)} was changed: it is not the copy that was made."
            yield "store", what, mend_copy(version)
    digest = ledger.anchors([key := card_key(version.run_id)]).get(key, "")
    if not digest:
        return
    try:
        tracking.run_file(version.run_id, REPORT, digest)
    except IntegrityError as error:
        if not isinstance(error.__cause__, NotFoundError | OSError):
            action = f"The store has it as it was: {store.uri(key)}."
            yield "mlflow", f"{name}: {error.message}", action


def _size_of(path: str, version: Version) -> int:
    """The bytes of a file of a logged model; 0 where they are not known."""
    return version.model_bytes if path.endswith(f"/{MODEL_FILE}") else 0


def _files(version: Version, settings: Settings) -> Iterator[tuple[str, str]]:
    """URIs of the files of a logged model on this machine, with their sha256."""
    for place in model_places(version, settings.artifacts):
        for path, digest in version.details.get("files", {}).items():
            yield f"{place}/{path}", str(digest)
