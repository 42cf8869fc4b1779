"""Repairs a version: from the store's copy, the data's source, and the ledger.

A version whose model file is gone from MLflow and from the store is lost: ``headrace
run`` registers a new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from headrace.data.corrections import corrections_of
from headrace.errors import HeadraceError, IntegrityError
from headrace.evidence.reproduction import recorded
from headrace.evidence.verification.walk import (
    DATA,
    data_mismatch,
    other_mismatches,
)
from headrace.models.logged import checks, copies
from headrace.records import Record
from headrace.settings import Settings
from headrace.stages.promotion.registry import registry_mismatches, restore_aliases
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Version
from headrace.state.store import Store

Status = Literal["sound", "restored", "failed"]


class Repair(Record):
    """What was done for a version.

    Attributes:
        status: ``sound``, there was nothing to do; ``restored``; ``failed``, it could
            not be repaired.
        reason: sentences.
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
    """Check a version's files, answers, data and records, and restore what is lost.

    Args:
        name: a model, which means its champion; ``MODEL@champion``; ``MODEL/VERSION``.
        settings: where things are.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: the ledger's rows were changed.
        DependencyError: MLflow, the store, a disk or the ledger failed.
    """
    home = Home(settings)
    version = home.ledger.find(name)
    return _repair(version, home, [*_mismatches(version, home, anew=True)])


def repair_all(settings: Settings, model: str = "") -> list[Repair]:
    """Repair the champions and newest versions that are not as recorded.

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
        _repair(version, home, mismatches)
        for name in ([model] if model else home.ledger.models())
        for version in checks.at_stake(name, home.ledger)
        if (mismatches := [*_mismatches(version, home)])
    ]


def _mismatches(
    version: Version, home: Home, *, anew: bool = False
) -> Iterator[Mismatch]:
    """What of a version is not as recorded; ``anew`` repeats its answers, too."""
    champion = home.ledger.champion(version.model)
    is_champion = champion is not None and champion.version == version
    is_collected = home.ledger.facts.is_deleted(version)
    for one in checks.find_mismatches([version], home, anew=anew):
        if not (one.is_gone and is_collected):
            yield one
    yield from other_mismatches(version, home, is_champion=is_champion)
    for one in registry_mismatches(version.model, home) if is_champion else ():
        if one.version == version.version or one.what.startswith("alias "):
            yield one
    if (is_champion or anew) and (lost := data_mismatch(version, home)):
        yield lost


def _repair(version: Version, home: Home, mismatches: list[Mismatch]) -> Repair:
    """Restore what is lost of a version, and look again."""
    if problem := home.ledger.walk_chain().problem:  # a repair rests on its rows
        raise IntegrityError(
            f"The ledger {home.settings.database_url} was changed: {problem}.",
            "Restore it from a backup.",
        )
    steps, failures = list[str](), list[str]()
    names = {mismatch.what for mismatch in mismatches}
    try:
        run, tracking = version.run_id, home.tracking
        if tracking.is_deleted(run) and tracking.undelete(run):
            steps.append("undeleted its run")
        if any(name.startswith("file ") for name in names):
            steps += copies.restore(version, home)
        if DATA in names:
            steps.append(_restore_data(version, home))
    except HeadraceError as error:
        failures.append(str(error))
    steps += restore_aliases(version.model, home)
    if copies.keep_copy_of(version, home):
        steps.append("copied its files into the store")
    left = [*_mismatches(version, home)] if mismatches else []
    status: Status = "restored" if steps else "sound"
    if left or failures:
        status = "failed"
    done = "; ".join(steps)
    reasons = [
        *[one.message for one in mismatches],
        "" if mismatches else "its files are as registered, and it answers as it did.",
        f"{done[0].upper()}{done[1:]}." if done else "",
        *[one.message for one in left if one not in mismatches],
        *failures,
        _remedy(version, {one.what for one in left}),
    ]
    return Repair(
        model=version.model,
        version=version.version,
        status=status,
        reason=" ".join(filter(None, reasons)),
        done=tuple(steps),
    )


def _remedy(version: Version, names: set[str]) -> str:
    """What to do about what could not be restored; empty if nothing more is known."""
    if checks.ANSWERS in names:
        return (
            "Its files are whole, but the libraries or the machine are not those that "
            "it was trained with: run it with those, or train anew."
        )
    if names & {checks.MODEL, checks.GOLDEN}:
        return (
            "The store has no copy of it. Restore one from a backup, or run `headrace "
            f"run {version.model}`, which registers a new version."
        )
    return ""


def _restore_data(version: Version, home: Home) -> str:
    """Read a version's data again from its source; the step, in words.

    The snapshot is made in a temporary folder. Its files replace those in the store
    only if it has the digest that was recorded.

    Raises:
        IntegrityError: the source gives other data now.
        HeadraceError: the source or the record of the run cannot be read.
    """
    from headrace.stages.ingestion import ingest

    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        run = home.tracking.find_run(version.run_id)
        spec = recorded(run, home, Path(folder, "run")).spec
        made = Store(str(Path(folder, "store")))
        used = version.details.get("snapshot", {}).get("corrections", "")
        corrected = corrections_of(home.store, spec.name, used)
        data = spec.data, spec.medium
        snapshot = ingest(*data, made, home.settings, spec.task, corrected)
        if snapshot.digest != version.snapshot_digest:
            raise IntegrityError(
                f"Its source {spec.data.source} gives other data now.",
                "Restore the snapshot from a backup.",
            )
        for name in made.keys():
            if name.startswith(f"snapshots/{version.snapshot_digest}/"):
                home.store.write(name, made.read(name))
    return f"read the data again from {spec.data.source}; it is the same"
