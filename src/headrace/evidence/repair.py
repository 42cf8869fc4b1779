"""Repairs a version: from the store's copy, the data's source, and the ledger.

A version whose model file is gone from MLflow and from the store is lost: ``headrace
run`` registers a new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from headrace.evidence.verification.backbones import backbone_problems
from headrace.evidence.verification.champions import champion_mismatches
from headrace.models.logged.soundness.checks import (
    ANSWERS,
    at_stake,
    find_mismatches,
)
from headrace.models.logged.soundness.copies import keep_copy_of, restore
from headrace.progress import Progress
from headrace.records import Record
from headrace.settings import Settings
from headrace.stages.promotion.registry import restore_aliases
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version

Status = Literal["sound", "restored", "failed"]
_STEPS = 3


class Repair(Record):
    """What was done for a version.

    Attributes:
        status: ``sound``, there was nothing to do; ``restored`` from the store's copy;
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

    MLflow's aliases are set as in the ledger.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.

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
        outcome = _repair(version, mismatches, home)
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
        repair(f"{version.model}/{version.version}", settings)
        for name in ([model] if model else home.ledger.models())
        for version in at_stake(name, home.ledger)
        if not home.ledger.is_collected(version) and _is_damaged(version, home)
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


def _repair(version: Version, mismatches: Sequence[Mismatch], home: Home) -> Repair:
    if not mismatches:
        reason = "its files are the ones that were registered, and it answers as it did"
        done = []
        if keep_copy_of(version, home):
            done.append("copied its files into the store")
            reason += f". {_sentence(done)}"
        return _answer(version, "sound", reason, done)
    return _restore(version, mismatches, home)


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
    outcome = (
        "The store has no copy of it. Restore one from a backup, or run `headrace run "
        f"{version.model}`, which registers a new version."
    )
    if done:
        outcome = f"{_sentence(done)} But {left[0].message}"
    return _answer(version, "failed", f"{problems} {outcome}", done)
