"""Checks that nobody changed champions, their records or the ledger behind our back.

A check compares the ledger with its chain and its copy in the store; MLflow's aliases,
the champion's version and its run with the ledger and with what was recorded of them;
and the files of the champion's model, run and data with their digests. What does not
fit becomes a row of the ledger, once.

A quiet check asks for the size, the inode and the times of some files, and reads
nothing. It is quiet while they are as at the last check, for an hour at most; then
every file and every row of the ledger is read again. In between, a check reads of the
ledger's digests of files only those that were added since the last one.
What is not a local file, such as PostgreSQL, S3 or MLflow's server, is asked at every
check.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from headrace.evidence.verification.versions import data_mismatch, record_mismatches
from headrace.models.logged.soundness.checks import file_mismatches
from headrace.models.logged.soundness.tracked import TrackedRecord
from headrace.settings import Settings
from headrace.stages.promotion.registry import alias_mismatch
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Tampering, Version, ledger_exists
from headrace.state.ledger.chain import ChainReport
from headrace.state.ledger.tamperings import Subject
from headrace.state.tracking.artifacts import forget_digests, paths_asked
from headrace.state.tracking.rows import TrackingRows, database_of

CONFIRM_SECONDS = 3.0  # a promotion writes to the ledger first and to MLflow next
FULL_SECONDS = 3600.0
_OF_CHAIN = ("ledger", "chain ")
WATCHER = "watch"  # recorded as the one who found something

Signature = tuple[tuple[int, ...], ...]
log = logging.getLogger("headrace")


class Watch:
    """Checks one ledger again and again.

    Args:
        settings: with the ledger, the store and MLflow.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._paths: set[Path] = set()  # that a change would have to touch
        self._full_at = 0.0
        self._reported: set[Mismatch] = set()  # of what cannot be a row of the ledger
        self._chain: ChainReport | None = None  # of the last check

    def is_quiet(self) -> bool:
        """Whether no file has changed since the last check."""
        now = time.monotonic()
        if now > self._full_at:
            self._full_at = now + FULL_SECONDS
            self._chain = None
            forget_digests()
            return False
        return self._signature is not None and self._signature == self._sign()

    def look(self) -> list[Tampering]:
        """Check everything, and record what is new.

        Returns:
            what this process has recorded, and no other.

        Raises:
            DependencyError: the ledger, the store or MLflow does not answer.
        """
        settings = self._settings
        if not ledger_exists(settings.database_url):
            return []
        signature = self._sign()
        home = Home(settings)
        latest = home.ledger.last_tamperings()
        with paths_asked() as paths:
            mismatches, is_sound = self.see(home)
        if any(_is_new(one, latest) for one in mismatches):
            time.sleep(CONFIRM_SECONDS)
            with paths_asked() as paths:
                again, is_sound = self.see(home)
            mismatches = [one for one in again if one in mismatches]
            signature = None
        recorded = []
        for one in mismatches:
            if _is_new(one, latest):
                recorded += self._record(one, latest, home)
        subjects = {one.subject for one in mismatches}
        for last in latest.values():
            # Without a sound ledger, nothing else was looked at.
            is_checked = is_sound or last.model == ""
            is_over = is_checked and last.subject not in subjects
            if last.action == "tampered" and is_over:
                why = "it is as it was recorded again"
                update = {"action": "settled", "who": WATCHER, "why": why}
                home.ledger.add_tampering(last.model_copy(update=update), latest)
        if is_sound:
            _keep(home, {one.model for one in mismatches}, self._chain)
            if paths != self._paths:  # a new path may differ by now
                self._paths, signature = paths, None
        self._signature = signature
        return recorded

    def see(self, home: Home) -> tuple[list[Mismatch], bool]:
        """What does not fit, and whether the ledger is sound.

        Where it is not, nothing else is looked at.
        """
        ledger = home.ledger
        report = ledger.walk_chain(since=self._chain)
        if report.problem:
            return list(home.copy.mismatches(report.problem)), False
        self._chain = report
        mismatches = [
            one.model_copy(update={"message": f"{one.message} {one.action}"})
            for one in home.copy.mismatches()
        ]
        for model in ledger.models():
            if champion := ledger.champion(model):
                mismatches += _of_champion(champion.version, home)
        return mismatches, True

    def _record(
        self, mismatch: Mismatch, latest: dict[Subject, Tampering], home: Home
    ) -> list[Tampering]:
        """Add a row for something new; empty if another process has.

        To a chain whose links were edited nothing is added, since a new link would
        stand on them.
        """
        row = mismatch.as_step(WATCHER)
        if row.what.startswith(_OF_CHAIN):
            is_new = mismatch not in self._reported
            self._reported.add(mismatch)
            return [row] if is_new else []
        return [row] if home.ledger.add_tampering(row, latest) else []

    def _sign(self) -> Signature | None:
        """Sizes, inodes and times of all files; None if something is not a file."""
        settings = self._settings
        uris = [settings.database_url, database_of(settings)]
        if not all(uri.startswith("sqlite:///") for uri in uris):
            return None
        if "://" in settings.store:
            return None
        files = [uri.removeprefix("sqlite:///") for uri in uris]
        files += [f"{file}-wal" for file in files]
        return tuple(map(_stat, [*map(Path, files), *sorted(self._paths)]))


def _keep(home: Home, tampered: set[str], chain: ChainReport | None) -> None:
    """Copy new rows of the ledger, and records of new champions, into the store."""
    for model in set(home.ledger.models()) - tampered:
        if champion := home.ledger.champion(model):
            TrackedRecord(champion.version, home).keep()
    if "" not in tampered:
        home.copy.keep(chain)


def _of_champion(version: Version, home: Home) -> Iterator[Mismatch]:
    yield from _of_registry(version, home)
    yield from record_mismatches(version, home)
    yield from file_mismatches(version, home)
    yield from data_mismatch(version, home)


def _of_registry(version: Version, home: Home) -> Iterator[Mismatch]:
    """Whether the alias was moved; without a database also what was deleted."""
    model, number = version.model, version.version
    url = database_of(home.settings)
    if url:
        aliases, is_listed = TrackingRows(home.settings, url).aliases(model), True
    else:
        aliases, versions = home.tracking.registered(model)
        is_listed = number in versions
        if not is_listed:
            what, message = f"version {number}", f"MLflow's version {number}"
            yield Mismatch.of(version, "mlflow", what, f"{message} was deleted.")
        if home.tracking.is_deleted(version.run_id):
            what = f"run {version.run_id}"
            message = f"MLflow's {what} of {model}/{number} was deleted."
            yield Mismatch.of(version, "mlflow", what, message)
    if not is_listed:
        return
    for mismatch in alias_mismatch(model, "champion", number, aliases):
        hint = ""
        if aliases.get("champion") == home.ledger.history(model)[-1].from_version:
            hint = (
                " A promotion or rollback that was killed leaves it so, too: "
                f"`headrace repair {model}` sets it."
            )
        yield mismatch.model_copy(update={"message": f"{mismatch.message}{hint}"})


def _is_new(mismatch: Mismatch, latest: Mapping[Subject, Tampering]) -> bool:
    last = latest.get(mismatch.subject)
    return last is None or last.action != "tampered" or last.why != mismatch.message


def _stat(path: Path) -> tuple[int, ...]:
    """Inode, size and times of a file; empty if it is gone, or an empty log."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    if stat.st_size == 0:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
