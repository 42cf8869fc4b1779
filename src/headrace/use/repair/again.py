"""Training a version again, and binding it to the new files.

A Keras file contains the time of saving, so equal weights give another digest.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headrace.errors import IntegrityError
from headrace.models.logged.soundness.checks import (
    find_flaws,
    find_wrong_answers,
    logged_model,
)
from headrace.models.logged.soundness.copies import (
    bind,
    describe_files,
    keep_copy,
    write_files,
)
from headrace.records import Record
from headrace.state.tracking import MODEL_FILE
from headrace.state.tracking.artifacts import file_digest

if TYPE_CHECKING:
    from headrace.records import LoggedModel
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger, Version
    from headrace.use.reproduction import TrainedAgain

Lease = Callable[[], contextlib.AbstractContextManager["Ledger"]]
Status = Literal["sound", "restored", "rebound", "failed"]


class Repair(Record):
    """What was done for a version.

    Attributes:
        status: ``sound``, there was nothing to do; ``restored`` from the store's copy;
            ``rebound``, trained again with equal weights and bound to the new file;
            ``failed``, nothing could be repaired.
        reason: one sentence.
        done: the steps, in words.
    """

    model: str
    version: int
    status: Status
    reason: str
    done: tuple[str, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether the version can be used now."""
        return self.status != "failed"

    def __str__(self) -> str:
        return f"{self.model} version {self.version}: {self.reason}"


def sentence(done: Sequence[str]) -> str:
    """Steps as one sentence; empty where there are none."""
    text = "; ".join(done)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def answer(
    version: Version, status: Status, reason: str, done: Sequence[str] = ()
) -> Repair:
    """The outcome of a repair of a version."""
    return Repair(
        model=version.model,
        version=version.version,
        status=status,
        reason=reason,
        done=tuple(done),
    )


def train_version_again(version: Version, settings: Settings, lease: Lease) -> Repair:
    """Train a version again from its record, and bind it to the new files.

    Args:
        version: its row in the ledger.
        settings: where things are.
        lease: gives the ledger, while no run of the model can write to it.

    Raises:
        IntegrityError: the weights differ, or the record or the data is gone.
        UsageError: there is no record, or it cannot be trained here.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    from headrace.use.reproduction import train_again

    again = train_again(version.run_id, settings)[1]
    if again.weights_digest != version.weights_digest:
        names = ", ".join(f"{d.kind} {d.name}" for d in again.differences[:5])
        raise IntegrityError(
            f"the weights are not the same ({again.weights_digest[:16]}... instead of "
            f"{version.weights_digest[:16]}...)"
            f"{f'; what differs from then: {names}' if names else ''}."
        )
    with lease() as ledger:
        version = ledger.version(version.model, version.version)
        lost = {str(flaw.part) for flaw in find_flaws(version, settings)}
        if not lost:
            return answer(version, "restored", "Another command has repaired it.")
        logged = _write(version, again, lost, settings)
        bound = _bind(version, logged, settings, ledger)
    done = (
        "trained it again from its record",
        "the weights are equal",
        f"bound it to the new file {bound.model_digest[:16]}..."
        if "model" in lost
        else "bound it to a new golden file",
    )
    return answer(bound, "rebound", sentence(done), done)


def _write(
    version: Version, again: TrainedAgain, lost: set[str], settings: Settings
) -> LoggedModel:
    """Write the lost files of a version; returns its files afterwards."""
    from headrace.state.tracking import Tracking

    logged, update = logged_model(version), {}
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        folder, golden = Path(name) / "logged", Path(name) / "golden.npz"
        files: dict[str, Path] = {}
        if "model" in lost:
            Tracking(settings).save_model(again.model, logged.description, folder)
            files = {path: folder / path for path in describe_files(folder)["files"]}
            update["model_digest"] = file_digest(files[MODEL_FILE])
        if "golden" in lost or not version.golden_digest:
            golden.write_bytes(again.golden)
            update["golden_digest"] = hashlib.sha256(again.golden).hexdigest()
        is_new = "golden_digest" in update
        write_files(version, files, golden if is_new else None, settings)
    return logged.model_copy(update=update)


def _bind(
    version: Version, logged: LoggedModel, settings: Settings, ledger: Ledger
) -> Version:
    """Bind a version to existing files, after checking their answers."""
    details: Mapping[str, Any] = keep_copy(logged, settings)
    candidate = version.model_copy(
        update={
            "model_digest": logged.model_digest,
            "details": {**version.details, **details},
        }
    )
    wrong = find_wrong_answers([candidate], settings)[0]
    if wrong is not None:
        raise IntegrityError(wrong.message)
    why = "its files were lost; trained again, the weights are equal"
    return bind(version, logged, why, details, settings, ledger)
