"""Repairs a version: from the store's copy, or by training it again.

A version is defined by its weights. If its model file and the copy are lost, it is
trained again, and the ledger binds the version to the new file with equal weights. (A
Keras file contains the time of saving, so equal weights give another digest.)
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headrace.errors import IntegrityError, Refusal, UsageError
from headrace.models.logged.soundness.checks import (
    ANSWERS,
    GOLDEN,
    MODEL,
    answer_mismatches,
    file_mismatches,
    find_mismatches,
    logged_model,
)
from headrace.models.logged.soundness.copies import (
    bind,
    describe_files,
    keep_copy,
    keep_copy_of,
    restore,
    write_files,
)
from headrace.models.logged.soundness.signing import sign_version
from headrace.records import LoggedModel, Record
from headrace.settings import Settings
from headrace.stages.promotion.registry import restore_registry
from headrace.state.disk import file_digest
from headrace.state.ledger import Ledger, Mismatch, Version
from headrace.state.ledger.holding import hold
from headrace.state.tracking import MODEL_FILE, Tracking
from headrace.state.tracking.artifacts import network_digest

if TYPE_CHECKING:
    from headrace.evidence.reproduction import TrainedAgain

Status = Literal["sound", "restored", "rebound", "failed"]
log = logging.getLogger("headrace")


class Repair(Record):
    """What was done for a version.

    Attributes:
        status: ``sound``, there was nothing to do; ``restored`` from the store's copy;
            ``rebound``, trained again with equal weights and bound to the new file;
            ``failed``, it could not be repaired.
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


def repair(name: str, settings: Settings) -> Repair:
    """Check a version's files, answers and records, and restore what is lost.

    The rows of the ledger come first, then what MLflow has of the version. MLflow's
    aliases and the version's tags are set as in the ledger.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: the ledger cannot be restored.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    from headrace.evidence.restoring import Restoring  # loads pyarrow

    restoring = Restoring(settings)
    ledger = restoring.ledger
    version = ledger.find(name)
    restoring.restore(version)
    mismatches = find_mismatches([version], settings, anew=True)
    outcome = _repair(version, mismatches, settings)
    version = ledger.version(version.model, version.version)  # it may be rebound
    done = restoring.done + restore_registry(version, ledger, Tracking(settings))
    if outcome.is_sound and sign_version(version, settings, ledger):
        done.append("signed its files")
    restoring.finish(version.model)
    status = outcome.status
    if restoring.done and status == "sound":
        status = "restored"
    reasons = [outcome.reason.rstrip(".") + ".", _sentence(done), *restoring.problems]
    if restoring.problems:
        status = "failed"
    if not any(reasons[1:]):
        return outcome
    reason = " ".join(filter(None, reasons))
    update = {"status": status, "reason": reason, "done": (*outcome.done, *done)}
    return outcome.model_copy(update=update)


def mend(
    model: str, settings: Settings, ledger: Ledger, *, is_leased: bool = False
) -> list[Repair]:
    """Repair the versions that a run of the model depends on.

    These are the champion and the newest version. If they are sound, this takes
    milliseconds and does not need MLflow.

    Args:
        model: its name.
        settings: where things are.
        ledger: of the run, or any other.
        is_leased: whether it is that of a run that holds the model's lease. Otherwise
            the lease is taken before a version is trained again.

    Returns:
        what was done for each version that was not sound.

    Raises:
        DependencyError: as above.
    """
    with ledger.reading_once():
        champion, newest = ledger.champion(model), ledger.versions(model)[-1:]
    done, leased = [], ledger if is_leased else None
    at_stake = {version.version: version for version in newest}
    if champion is not None:
        at_stake[champion.version.version] = champion.version
    for _, version in sorted(at_stake.items()):
        if found := find_mismatches([version], settings):
            log.warning("%s is not what was registered: %s", version, found[0].message)
            done.append(_repair(version, found, settings, leased))
            log.warning("%s", done[-1])
    return done


def restore_lost(settings: Settings) -> list[Repair]:
    """Check all champions, and restore their lost files from the store.

    Nothing is trained, which would take too long for a watcher.

    Returns:
        what was done for each that was not sound.

    Raises:
        DependencyError: as above.
    """
    ledger, done = Ledger(settings.database_url), []
    for model in ledger.models():
        champion = ledger.champion(model)
        if champion and (found := find_mismatches([champion.version], settings)):
            done.append(_restore(champion.version, found, settings))
    return done


def _answer(
    version: Version, status: Status, reason: str, done: Sequence[str] = ()
) -> Repair:
    return Repair(
        model=version.model,
        version=version.version,
        status=status,
        reason=reason,
        done=tuple(done),
    )


def _sentence(done: Sequence[str]) -> str:
    """Steps as one sentence; empty if there are none."""
    text = "; ".join(done)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _repair(
    version: Version,
    mismatches: Sequence[Mismatch],
    settings: Settings,
    leased: Ledger | None = None,
) -> Repair:
    """Repair a version, with the ledger of a run that holds the lease, if any."""
    if not mismatches:
        reason = "its files are the ones that were registered, and it answers as it did"
        done = []
        if keep_copy_of(version, settings):
            done.append("copied its files into the store")
            reason += f". {_sentence(done)}"
        return _answer(version, "sound", reason, done)
    restored = _restore(version, mismatches, settings)
    if restored.is_sound or mismatches[0].what == ANSWERS:
        return restored
    log.warning("%s: training it again from its record", version)
    try:
        return _train_again(version, settings, leased)
    except (Refusal, UsageError) as error:
        reason = f"{restored.reason} It cannot be trained again: {error.message}"
        return _answer(version, "failed", reason, restored.done)


def _restore(
    version: Version, mismatches: Sequence[Mismatch], settings: Settings
) -> Repair:
    """Restore files from the store, and check the version again."""
    problems = " ".join(mismatch.message for mismatch in mismatches)
    if mismatches[0].what == ANSWERS:
        reason = (
            f"its files are whole, but {problems} The libraries or the machine are not "
            "those that it was trained with: run it with those, or train anew."
        )
        return _answer(version, "failed", reason)
    done = restore(version, {mismatch.what for mismatch in mismatches}, settings)
    left = find_mismatches([version], settings)
    if not left:
        return _answer(version, "restored", f"{problems} {_sentence(done)}", done)
    outcome = "The store has no copy of it."
    if done:
        outcome = f"{_sentence(done)} But {left[0].message}"
    return _answer(version, "failed", f"{problems} {outcome}", done)


@contextlib.contextmanager
def _leased(
    version: Version, settings: Settings, leased: Ledger | None
) -> Iterator[Ledger]:
    """The ledger, with the model's lease, so that no run promotes meanwhile."""
    if leased is not None:
        yield leased
        return
    with hold(settings, version.model, f"repair-{uuid.uuid4().hex}") as holding:
        yield Ledger(settings.database_url, holding.lease)


def _train_again(version: Version, settings: Settings, leased: Ledger | None) -> Repair:
    """Train a version again from its record, and bind it to the new files.

    Raises:
        IntegrityError: the weights differ, or the record or the data is gone.
        UsageError: there is no record, or it cannot be trained here.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    from headrace.evidence.reproduction import train_again

    again = train_again(version.run_id, settings)[1]
    if again.weights_digest != version.weights_digest:
        names = ", ".join(f"{d.kind} {d.name}" for d in again.differences[:5])
        raise IntegrityError(
            f"the weights are not the same ({again.weights_digest[:16]}... instead of "
            f"{version.weights_digest[:16]}...)"
            f"{f'; what differs from then: {names}' if names else ''}."
        )
    with _leased(version, settings, leased) as ledger:
        version = ledger.version(version.model, version.version)
        lost = {mismatch.what for mismatch in file_mismatches(version, settings)}
        if not lost:
            return _answer(version, "restored", "Another command has repaired it.")
        logged = _write(version, again, lost, settings)
        details = keep_copy(logged, settings)
        update = {
            "model_digest": logged.model_digest,
            "details": {**version.details, **details},
        }
        for wrong in answer_mismatches([version.model_copy(update=update)], settings):
            raise IntegrityError(wrong.message)
        why = "its files were lost; trained again, the weights are equal"
        bound = bind(version, logged, why, details, settings, ledger)
        sign_version(bound, settings, ledger)
    done = (
        "trained it again from its record",
        "the weights are equal",
        f"bound it to the new file {bound.model_digest[:16]}..."
        if MODEL in lost
        else "bound it to a new golden file",
    )
    return _answer(bound, "rebound", _sentence(done), done)


def _write(
    version: Version, again: TrainedAgain, lost: set[str], settings: Settings
) -> LoggedModel:
    """Write the lost files of a version; returns its files afterwards."""
    logged, update = logged_model(version), {}
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        files, golden, folder = dict[str, Path](), None, Path(name) / "logged"
        if MODEL in lost:
            Tracking(settings).save_model(again.model, logged.description, folder)
            files = {path: folder / path for path in describe_files(folder)["files"]}
            update["model_digest"] = file_digest(files[MODEL_FILE])
            recorded = version.details.get("training", {}).get("network_digest")
            if recorded and network_digest(files[MODEL_FILE]) != recorded:
                raise IntegrityError(
                    "the weights are the same, and its layers answer otherwise."
                )
        if GOLDEN in lost:
            golden = Path(name) / "golden.npz"
            golden.write_bytes(again.golden)
            update["golden_digest"] = hashlib.sha256(again.golden).hexdigest()
        write_files(version, files, golden, settings)
    return logged.model_copy(update=update)
