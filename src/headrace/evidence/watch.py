"""Checks that nobody changed champions, their records or the ledger behind our back.

A check compares the ledger with its chain and its copy in the store; MLflow's aliases,
the champion's version and its run with the ledger and with what was recorded of them;
and the files of the champion's model, run and data with their digests. What does not
fit becomes a row of the ledger, once.

A quiet check asks for the size, the inode and the times of some files, and reads
nothing. It is quiet while they are as at the last check, for an hour at most; then
every file and every row of the ledger is read again. In between, a check reads the
decisions in the ledger, and of other rows those that were added since the last one.
What is not a local file, such as PostgreSQL, S3 or MLflow's server, is asked at every
check.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from headrace.data.snapshots.reading import find_snapshot, shards_of
from headrace.errors import (
    IntegrityError,
)
from headrace.models.logged.soundness.checks import find_flaws
from headrace.models.logged.soundness.tracked import TrackedRecord
from headrace.records import MANIFEST
from headrace.settings import Settings
from headrace.state.ledger import Ledger, Tampering, Version, ledger_exists
from headrace.state.ledger.chain import ChainReport
from headrace.state.ledger.copies import LedgerCopy
from headrace.state.ledger.leases import Leases
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE, Tracking
from headrace.state.tracking.artifacts import (
    digest_at,
    forget_digests,
    local_path,
    model_places,
    run_places,
)
from headrace.state.tracking.rows import TrackingRows, database_of

CONFIRM_SECONDS = 3.0  # a promotion writes to the ledger first and to MLflow next
FULL_SECONDS = 3600.0
_OF_CHAIN = ("ledger", "row chain ")
WATCHER = "watch"  # recorded as the one who found something

Signature = tuple[tuple[int, ...], ...]
log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that is not as it was recorded; the fields of `Tampering`."""

    model: str
    what: str
    why: str
    version: int | None = None

    @property
    def subject(self) -> tuple[str, str]:
        """The model, and what was changed."""
        return self.model, self.what


class Watch:
    """Checks one ledger again and again.

    Args:
        settings: with the ledger, the store and MLflow.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._signature: Signature | None = None
        self._paths: list[Path] = []
        self._full_at = 0.0
        self._reported: set[Seen] = set()  # of what cannot be a row of the ledger
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
        ledger = Ledger(settings.database_url)
        known = ledger.last_tamperings()
        seen, is_sound = self.see(ledger)
        if any(_is_new(one, known.get(one.subject)) for one in seen):
            time.sleep(CONFIRM_SECONDS)
            again, is_sound = self.see(ledger)
            seen = [one for one in again if one in seen]
            signature = None
        recorded = []
        for one in seen:
            if _is_new(one, known.get(one.subject)):
                recorded += self._record(ledger, one, known)
        subjects = {one.subject for one in seen}
        for last in known.values():
            # Without a sound ledger, nothing else was looked at.
            is_checked = is_sound or last.model == ""
            if (
                last.action == "tampered"
                and is_checked
                and last.subject not in subjects
            ):
                update = {"action": "settled", "why": "it is as it was recorded again"}
                ledger.add_tampering(_by_watch(last, **update), known)
        if is_sound:
            self._keep(ledger, {one.model for one in seen})
        paths = set(self._find_paths(ledger)) if is_sound else set(self._paths)
        is_same = paths == set(self._paths)
        self._paths = sorted(paths)
        self._signature = signature if is_same else None  # a new path may differ by now
        return recorded

    def see(self, ledger: Ledger) -> tuple[list[Seen], bool]:
        """What does not fit, and whether the ledger is sound.

        Where it is not, nothing else is looked at.
        """
        report = ledger.walk_chain(since=self._chain)
        if report.problem:
            return list(self._see_ledger(report.problem)), False
        self._chain = report
        seen: list[Seen] = []
        copy = LedgerCopy(self._settings.database_url, Store(self._settings.store))
        try:
            copy.check()
        except IntegrityError as error:
            seen.append(Seen("", "copy of the ledger", str(error)))
        for model in ledger.models():
            champion = ledger.champion(model)
            if champion is not None:
                seen += self._see_champion(champion.version, ledger)
        return seen, True

    def _see_ledger(self, problem: str) -> Iterator[Seen]:
        settings = self._settings
        copy = LedgerCopy(settings.database_url, Store(settings.store))
        try:
            edits = copy.edits()
        except IntegrityError as error:
            yield Seen("", "ledger", f"The ledger: {problem}. {error.message}")
            return
        for edit in edits:
            what = f"row {edit.table} {edit.key}"
            why = f"T{str(edit)[1:]}."
            yield Seen(edit.model, what, why, (edit.row or {}).get("version"))
        if not edits:
            yield Seen("", "ledger", f"The ledger: {problem}.")

    def _see_champion(self, version: Version, ledger: Ledger) -> Iterator[Seen]:
        settings, model, number = self._settings, version.model, version.version
        for what, why in self._see_registry(version, ledger):
            yield Seen(model, what, why, number)
        is_busy = any(
            lease.name == model and lease.state != "ended"
            for lease in Leases(settings.database_url).all()[0]
        )
        for change in TrackedRecord(version, settings, ledger).changes():
            # A run that evaluates the version anew writes to its files.
            if not (is_busy and change.what.startswith("file ")):
                yield Seen(model, change.what, change.message, number)
        for flaw in find_flaws(version, settings):
            yield Seen(model, f"file {flaw.part}", flaw.message, number)
        if problem := find_data_problem(version, settings, ledger):
            yield Seen(model, "snapshot", problem, number)

    def _see_registry(
        self, version: Version, ledger: Ledger
    ) -> Iterator[tuple[str, str]]:
        """Whether the alias was moved; without a database also what was deleted."""
        model, number = version.model, version.version
        url = database_of(self._settings)
        if url:
            aliases, listed = TrackingRows(self._settings, url).aliases(model), None
        else:
            tracking = Tracking(self._settings)
            aliases, versions = tracking.registered(model)
            listed = set(versions)
            if number not in listed:
                yield f"version {number}", f"MLflow's version {number} was deleted."
            if tracking.is_deleted(version.run_id):
                run = f"run {version.run_id}"
                yield run, f"MLflow's {run} of {model}/{number} was deleted."
        present = aliases.get("champion")
        if present != number and (listed is None or number in listed):
            yield (
                "alias champion",
                f"MLflow's alias champion of {model} is on {_named(present)}, and the "
                f"ledger has {_named(number)}.{_of_a_kill(present, model, ledger)}",
            )

    def _record(
        self, ledger: Ledger, seen: Seen, known: dict[tuple[str, str], Tampering]
    ) -> list[Tampering]:
        """Add a row for something new; empty if another process has.

        To a chain whose links were edited nothing is added, since a new link would
        stand on them.
        """
        row = Tampering(
            model=seen.model,
            what=seen.what,
            version=seen.version,
            who=WATCHER,
            why=seen.why,
        )
        if seen.what.startswith(_OF_CHAIN):
            is_new = seen not in self._reported
            self._reported.add(seen)
            return [row] if is_new else []
        return [row] if ledger.add_tampering(row, known) else []

    def _keep(self, ledger: Ledger, tampered: set[str]) -> None:
        """Copy new rows of the ledger, and records of new champions, into the store."""
        settings = self._settings
        for model in set(ledger.models()) - tampered:
            champion = ledger.champion(model)
            if champion is not None:
                TrackedRecord(champion.version, settings, ledger).keep()
        if "" not in tampered:
            copy = LedgerCopy(settings.database_url, Store(settings.store))
            copy.keep(self._chain)

    def _find_paths(self, ledger: Ledger) -> Iterator[Path]:
        """The local files that a change would have to touch."""
        settings, store = self._settings, Store(self._settings.store)
        for model in ledger.models():
            champion = ledger.champion(model)
            if champion is None:
                continue
            version = champion.version
            yield from TrackedRecord(version, settings, ledger).paths()
            for places, path in (
                (model_places(version, settings.artifacts), MODEL_FILE),
                (run_places(version, settings.artifacts), GOLDEN_FILE),
            ):
                yield from (f / path for p in places if (f := local_path(p)))
            folder = f"snapshots/{version.snapshot_digest}"
            if store.is_local and (snapshot := find_snapshot(store, folder[10:])):
                names = [MANIFEST]
                try:
                    names += [shard.name for shard in shards_of(snapshot)]
                except IntegrityError:
                    pass
                yield from (Path(store.path(f"{folder}/{name}")) for name in names)

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
        return tuple(map(_stat, [*map(Path, files), *self._paths]))


def find_data_problem(version: Version, settings: Settings, ledger: Ledger) -> str:
    """What is wrong with the files of a version's snapshot; empty if nothing is.

    Raises:
        DependencyError: the store does not answer.
    """
    store, key = (
        Store(settings.store),
        f"snapshots/{version.snapshot_digest}/{MANIFEST}",
    )
    recorded = manifest_digest(version, ledger)
    actual = digest_at(store.uri(key))
    if actual != recorded:
        how = "was changed" if actual else "is gone"
        return f"The data of {version}: {store.uri(key)} {how}."
    snapshot = find_snapshot(store, version.snapshot_digest, recorded)
    if snapshot is None:
        return f"The data of {version}: {store.uri(key)} cannot be read."
    try:
        for shard in shards_of(snapshot):
            actual = digest_at(f"{snapshot.uri}/{shard.name}", shard.size)
            if actual != shard.sha256:
                how = "was changed" if actual else "is gone"
                return f"The data of {version}: {snapshot.uri}/{shard.name} {how}."
    except IntegrityError as error:
        return error.message
    return ""


def manifest_digest(version: Version, ledger: Ledger) -> str:
    """sha256 of the manifest of a version's snapshot; empty if it was not recorded."""
    key = f"snapshots/{version.snapshot_digest}/{MANIFEST}"
    own = version.details.get("snapshot", {}).get("manifest_sha256", "")
    return ledger.anchors([key]).get(key, "") or str(own)


def _is_new(seen: Seen, last: Tampering | None) -> bool:
    return last is None or last.action != "tampered" or last.why != seen.why


def _by_watch(last: Tampering, **update: str) -> Tampering:
    values = last.model_dump(exclude={"when", "step"}) | {"who": WATCHER, **update}
    return Tampering(**values)


def _of_a_kill(present: int | None, model: str, ledger: Ledger) -> str:
    """What else may have left an alias where it is; empty if nothing."""
    if present != ledger.history(model)[-1].from_version:
        return ""
    return (
        " A promotion or rollback that was killed leaves it so, too: `headrace repair "
        f"{model}` sets it."
    )


def _named(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"


def _stat(path: Path) -> tuple[int, ...]:
    """Inode, size and times of a file; empty if it is gone, or an empty log."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    if stat.st_size == 0:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
