"""Checks that nobody changed champions, their records or the ledger behind our back.

A check compares the ledger with its chain; MLflow's aliases,
the champions' versions and their runs with the ledger and with what was recorded of
them; and the files of their models, runs and data with their digests. What does not fit
becomes a row of the ledger, once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from headrace.evidence.verification.champions import champion_mismatches
from headrace.models.logged.soundness.tracked import TrackedRecord
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Mismatch, Tampering, ledger_exists
from headrace.state.ledger.tamperings import Subject
from headrace.state.tracking.artifacts import forget_digests, paths_asked
from headrace.state.tracking.rows import database_of

CONFIRM_SECONDS = 3.0  # a promotion writes to the ledger first and to MLflow next
FULL_SECONDS = 3600.0
FEW = 20
_OF_CHAIN = ("ledger", "chain ")
WATCHER = "watch"  # recorded as the one who found something

Signature = tuple[tuple[Path, tuple[int, ...]], ...]
log = logging.getLogger("headrace")


class Watch:
    """Checks one ledger again and again.

    Args:
        settings: with the ledger, the store and MLflow.

    Attributes:
        models: those whose champions the last check has looked at.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._paths: dict[str, Signature] = {}  # of the files of each model
        self._full_at = 0.0
        self._reported: set[Mismatch] = set()  # of what cannot be a row of the ledger
        self._seen: set[str] = set()  # models, since the databases were as now
        self._databases: Signature = ()
        self.models: list[str] = []

    def is_quiet(self) -> bool:
        """Whether no file has changed since the last check, and no champion waits."""
        now = time.monotonic()
        if now > self._full_at:
            self._full_at = now + FULL_SECONDS
            self._paths.clear()
            self._seen.clear()
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
        signature, databases = self._sign(), _state_of(self._database_files())
        if databases != self._databases:
            self._databases = databases
            self._seen.clear()
        home = Home(settings)
        latest = home.ledger.last_tamperings()
        known = self._paths.copy()
        mismatches, is_sound = self.see(home)
        if any(_is_new(one, latest) for one in mismatches):
            time.sleep(CONFIRM_SECONDS)
            again, is_sound = self.see(home, self.models)
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
            self._keep(home, {one.model for one in mismatches})
            self._seen.update(self.models)
            if not self._seen.issuperset(home.ledger.models()):
                signature = None
            if self._paths.keys() != known.keys() or any(
                len(files) != len(known[model]) for model, files in self._paths.items()
            ):  # a new path may differ by now
                signature = None
        self._signature = signature
        return recorded

    def see(
        self,
        home: Home,
        models: Sequence[str] = (),
    ) -> tuple[list[Mismatch], bool]:
        """What does not fit, and whether the ledger is sound.

        Where it is not, nothing else is looked at.

        Args:
            home: to check.
            models: to look at their champions; by default at all.
        """
        if problem := home.ledger.walk_chain().problem:
            self.models = home.ledger.models()[:FEW]
            message = f"The ledger: {problem}."
            return [Mismatch(where="ledger", what="ledger", message=message)], False
        mismatches: list[Mismatch] = []
        self.models = list(models) or home.ledger.models()
        with home.ledger.reading_once():
            for model in self.models:
                if champion := home.ledger.champion(model):
                    with paths_asked() as paths:
                        mismatches += champion_mismatches(champion.version, home)
                    self._paths[model] = _state_of(paths)
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

    def _keep(self, home: Home, tampered: set[str]) -> None:
        """Copy the records of champions into the store."""
        with home.ledger.reading_once():
            for model in {*self.models} - tampered:
                if champion := home.ledger.champion(model):
                    TrackedRecord(champion.version, home).keep()

    def _database_files(self) -> list[Path]:
        """The files of the ledger and of MLflow; none if one is no file."""
        uris = [self._settings.database_url, database_of(self._settings)]
        if not all(uri.startswith("sqlite:///") for uri in uris):
            return []
        files = [uri.removeprefix("sqlite:///") for uri in uris]
        return [*map(Path, files), *(Path(f"{file}-wal") for file in files)]

    def _sign(self) -> Signature | None:
        """Sizes, inodes and times of all files; None if something is not a file."""
        files = self._database_files()
        if not files or "://" in self._settings.store:
            return None
        paths = sorted({path for had in self._paths.values() for path, _ in had})
        return _state_of([*files, *paths])


def _is_new(mismatch: Mismatch, latest: Mapping[Subject, Tampering]) -> bool:
    last = latest.get(mismatch.subject)
    return last is None or last.action != "tampered" or last.why != mismatch.message


def _state_of(paths: Iterable[Path]) -> Signature:
    return tuple((path, _stat(path)) for path in paths)


def _stat(path: Path) -> tuple[int, ...]:
    """Inode, size and times of a file; empty if it is gone, or an empty log."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    if stat.st_size == 0:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
