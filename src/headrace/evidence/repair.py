"""Repairs a version: from the store's copy, or by training it again.

A version is defined by its weights. If its model file and the copy are lost, it is
trained again, and the ledger binds the version to the new file with equal weights. (A
Keras file contains the time of saving, so equal weights give another digest.)
"""

from __future__ import annotations

import hashlib
import logging
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from headrace.errors import IntegrityError, Refusal, UsageError
from headrace.evidence.verification.backbones import backbone_problems
from headrace.evidence.verification.champions import champion_mismatches
from headrace.models.logged.soundness.checks import (
    ANSWERS,
    GOLDEN,
    MODEL,
    answer_mismatches,
    at_stake,
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
from headrace.progress import Progress
from headrace.records import LoggedModel, Record
from headrace.settings import Settings
from headrace.stages.promotion.registry import restore_aliases
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.ledger.holding import hold
from headrace.state.regular import file_digest
from headrace.state.tracking import MODEL_FILE
from headrace.state.tracking.artifacts import network_digest

if TYPE_CHECKING:
    from headrace.evidence.reproduction import TrainedAgain

Status = Literal["sound", "restored", "rebound", "failed"]
_STEPS = 3
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


def repair(name: str, settings: Settings, *, trains: bool = True) -> Repair:
    """Check a version's files, answers and records, and restore what is lost.

    MLflow's aliases are set as in the ledger.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.
        trains: whether a version is trained again that cannot be restored.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: the ledger's rows were changed.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    from headrace.evidence.restoring import restore_others  # loads pyarrow

    home = Home(settings)
    with Progress("repair", _STEPS, is_listed=True) as progress:
        version = home.ledger.find(name)
        progress.update(0, "records and data")
        done, problems = restore_others(version, home)
        progress.update(1, "files and answers")
        mismatches = find_mismatches([version], home, anew=True)
        outcome = _repair(version, mismatches, home, trains=trains)
        version = home.ledger.version(version.model, version.version)  # perhaps rebound
        status = "restored" if done and outcome.status == "sound" else outcome.status
        progress.update(2, "aliases")
        done += restore_aliases(version.model, home)
        if _is_champion(version, home):
            problems += [one.message for one in champion_mismatches(version, home)]
        progress.update(_STEPS, "done")
    reasons = [outcome.reason.rstrip(".") + ".", _sentence(done), *problems]
    if of_backbone := backbone_problems(version, home):
        is_whole = outcome.is_sound and not problems
        begin = "The version is intact; its" if is_whole else "Its"
        reasons.append(f"{begin} backbone in the store is not: {of_backbone}")
    if problems:
        status = "failed"
    if not any(reasons[1:]):
        return outcome
    reason = " ".join(filter(None, reasons))
    update = {"status": status, "reason": reason, "done": (*outcome.done, *done)}
    return outcome.model_copy(update=update)


def repair_all(settings: Settings, model: str = "") -> list[Repair]:
    """Restore champions and newest versions that are not as recorded.

    Nothing is trained.

    Args:
        settings: where things are.
        model: the only one to look at; empty for all.

    Returns:
        what was done for each version that was not as recorded.

    Raises:
        IntegrityError: the ledger's rows were changed.
        DependencyError: as above.
    """
    home = Home(settings)
    return [
        repair(f"{version.model}/{version.version}", settings, trains=False)
        for name in ([model] if model else home.ledger.models())
        for version in at_stake(name, home.ledger)
        if _is_damaged(version, home)
    ]


def _is_damaged(version: Version, home: Home) -> bool:
    if _is_champion(version, home) and any(champion_mismatches(version, home)):
        return True
    return bool(find_mismatches([version], home))


def _is_champion(version: Version, home: Home) -> bool:
    champion = home.ledger.champion(version.model)
    return champion is not None and champion.version.version == version.version


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
    version: Version, mismatches: Sequence[Mismatch], home: Home, *, trains: bool
) -> Repair:
    if not mismatches:
        reason = "its files are the ones that were registered, and it answers as it did"
        done = []
        if keep_copy_of(version, home):
            done.append("copied its files into the store")
            reason += f". {_sentence(done)}"
        return _answer(version, "sound", reason, done)
    restored = _restore(version, mismatches, home)
    if restored.is_sound or mismatches[0].what == ANSWERS or not trains:
        return restored
    log.warning("%s: training it again from its record", version)
    try:
        return _train_again(version, home)
    except (Refusal, UsageError) as error:
        reason = f"{restored.reason} It cannot be trained again: {error.message}"
        return _answer(version, "failed", reason, restored.done)


def _restore(version: Version, mismatches: Sequence[Mismatch], home: Home) -> Repair:
    """Restore files from the store, and check the version again."""
    problems = " ".join(mismatch.message for mismatch in mismatches)
    if mismatches[0].what == ANSWERS:
        reason = (
            f"its files are whole, but {problems} The libraries or the machine are not "
            "those that it was trained with: run it with those, or train anew."
        )
        return _answer(version, "failed", reason)
    done = restore(version, {mismatch.what for mismatch in mismatches}, home)
    left = find_mismatches([version], home)
    if not left:
        return _answer(version, "restored", f"{problems} {_sentence(done)}", done)
    outcome = "The store has no copy of it."
    if done:
        outcome = f"{_sentence(done)} But {left[0].message}"
    return _answer(version, "failed", f"{problems} {outcome}", done)


def _train_again(version: Version, home: Home) -> Repair:
    """Train a version again from its record, and bind it to the new files.

    Raises:
        IntegrityError: the weights differ, or the record or the data is gone.
        UsageError: there is no record, or it cannot be trained here.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    from headrace.evidence.reproduction import train_again

    settings = home.settings
    again = train_again(version.run_id, home)[1]
    if again.weights_digest != version.weights_digest:
        names = ", ".join(f"{d.kind} {d.name}" for d in again.differences[:5])
        raise IntegrityError(
            f"the weights are not the same ({again.weights_digest[:16]}... instead of "
            f"{version.weights_digest[:16]}...)"
            f"{f'; what differs from then: {names}' if names else ''}."
        )
    flow_run = f"repair-{uuid.uuid4().hex}"
    with hold(
        settings, version.model, flow_run
    ) as holding:  # no run promotes meanwhile
        home = Home(settings, holding.lease)
        version = home.ledger.version(version.model, version.version)
        lost = {mismatch.what for mismatch in file_mismatches(version, home)}
        if not lost:
            return _answer(version, "restored", "Another command has repaired it.")
        logged = _write(version, again, lost, home)
        details = keep_copy(logged, home)
        update = {
            "model_digest": logged.model_digest,
            "details": {**version.details, **details},
        }
        for wrong in answer_mismatches([version.model_copy(update=update)], home):
            raise IntegrityError(wrong.message)
        why = "its files were lost; trained again, the weights are equal"
        bound = bind(version, logged, why, details, home)
    done = (
        "trained it again from its record",
        "the weights are equal",
        f"bound it to the new file {bound.model_digest[:16]}..."
        if MODEL in lost
        else "bound it to a new golden file",
    )
    return _answer(bound, "rebound", _sentence(done), done)


def _write(
    version: Version, again: TrainedAgain, lost: set[str], home: Home
) -> LoggedModel:
    """Write the lost files of a version; returns its files afterwards."""
    logged, update = logged_model(version), {}
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        files, golden, folder = dict[str, Path](), None, Path(name) / "logged"
        if MODEL in lost:
            home.tracking.save_model(again.model, logged.description, folder)
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
        write_files(version, files, golden, home)
    return logged.model_copy(update=update)
