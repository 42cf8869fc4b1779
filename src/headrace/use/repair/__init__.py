"""Repairs a version: from the store's copy, or by training it again.

A version is defined by its weights. If its model file and the copy are lost, it is
trained again, and the ledger binds the version to the new file with equal weights.
"""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

from headrace.errors import Refusal, UsageError
from headrace.models.logged.soundness.checks import (
    Flaw,
    find_flaw,
    find_flaws,
    find_wrong_answers,
)
from headrace.models.logged.soundness.copies import keep_copy_of, restore
from headrace.stages.promotion import restore_registry
from headrace.state.leases import hold
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import Tracking
from headrace.use.repair.again import (
    Lease,
    Repair,
    answer,
    sentence,
    train_version_again,
)

if TYPE_CHECKING:
    from headrace.settings import Settings

__all__ = ["Repair", "mend", "repair", "restore_lost"]

log = logging.getLogger("headrace")


def repair(name: str, settings: Settings) -> Repair:
    """Check a version's files and answers, and restore what is lost.

    MLflow's aliases and the version's tags are set as in the ledger.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.

    Raises:
        NotFoundError: there is no such version.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    ledger = Ledger(settings.database_url)
    version = ledger.find(name)
    outcome = _repair_files(version, settings)
    version = ledger.version(version.model, version.version)  # it may be rebound
    done = restore_registry(version, ledger, Tracking(settings))
    if not done:
        return outcome
    reason = f"{outcome.reason.rstrip('.')}. {sentence(done)}"
    return outcome.model_copy(update={"reason": reason, "done": (*outcome.done, *done)})


def _repair_files(version: Version, settings: Settings) -> Repair:
    flaws = find_flaws(version, settings)
    if not flaws:
        wrong = find_wrong_answers([version], settings)[0]
        if wrong is None:
            return _sound(version, settings)
        flaws = [wrong]
    return _repair(version, flaws, settings, _taken(version, settings))


def mend(
    model: str, settings: Settings, ledger: Ledger, *, is_leased: bool = False
) -> list[Repair]:
    """Repair the versions that a run of the model depends on.

    These are the champion and the newest version. If they are sound, this takes
    milliseconds and does not need MLflow.

    Args:
        model: its name.
        settings: where things are.
        ledger: perhaps of a run that holds the model's lease.
        is_leased: whether the ledger has the lease; otherwise it is taken before a
            version is trained again.

    Returns:
        what was done for each version that was not sound.

    Raises:
        DependencyError: as above.
    """
    done = []
    for version in _at_stake(model, ledger):
        flaw = find_flaw(version, settings)
        if flaw is None:
            continue
        log.warning("%s is not what was registered: %s", version, flaw.message)
        flaws = find_flaws(version, settings) or [flaw]
        lease = _held(ledger) if is_leased else _taken(version, settings)
        done.append(_repair(version, flaws, settings, lease))
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
        if champion is None:
            continue
        flaw = find_flaw(champion.version, settings)
        if flaw is not None:
            flaws = find_flaws(champion.version, settings) or [flaw]
            done.append(_restore(champion.version, flaws, settings))
    return done


def _at_stake(model: str, ledger: Ledger) -> list[Version]:
    champion = ledger.champion(model)
    versions = {v.version: v for v in ledger.versions(model)[-1:]}
    if champion is not None:
        versions[champion.version.version] = champion.version
    return [versions[number] for number in sorted(versions)]


def _sound(version: Version, settings: Settings) -> Repair:
    reason = "its files are the ones that were registered"
    if version.golden_digest:
        reason += ", and it answers as it did"
    else:
        reason += "; no golden answers were recorded when it was registered"
    copied = keep_copy_of(version, settings)
    done = ["copied its files into the store"] if copied else []
    return answer(version, "sound", reason, done)


def _repair(
    version: Version, flaws: list[Flaw], settings: Settings, lease: Lease
) -> Repair:
    restored = _restore(version, flaws, settings)
    if restored.is_sound or flaws[0].part == "answers":
        return restored
    log.warning("%s: training it again from its record", version)
    try:
        return train_version_again(version, settings, lease)
    except (Refusal, UsageError) as error:
        reason = f"{restored.reason} It cannot be trained again: {error.message}"
        return answer(version, "failed", reason, restored.done)


def _restore(version: Version, flaws: list[Flaw], settings: Settings) -> Repair:
    """Restore files from the store, and check the version again."""
    problems = " ".join(flaw.message for flaw in flaws)
    if flaws[0].part == "answers":
        reason = (
            f"its files are whole, but {problems} The libraries or the machine are not "
            "those that it was trained with: run it with those, or train anew."
        )
        return answer(version, "failed", reason)
    done = restore(version, {flaw.part for flaw in flaws}, settings)
    left = find_flaw(version, settings)
    if left is None:
        return answer(version, "restored", f"{problems} {sentence(done)}", done)
    gone = "The store has no copy of it." if not done else sentence(done)
    also = f" But {left.message}" if done else ""
    return answer(version, "failed", f"{problems} {gone}{also}", done)


def _held(ledger: Ledger) -> Lease:
    return lambda: contextlib.nullcontext(ledger)


def _taken(version: Version, settings: Settings) -> Lease:
    """The ledger, with the model's lease, so that no run promotes meanwhile."""

    @contextlib.contextmanager
    def take() -> Iterator[Ledger]:
        with hold(settings, version.model, f"repair-{uuid.uuid4().hex}") as holding:
            yield holding.ledger()

    return take
