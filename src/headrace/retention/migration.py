"""Moving a home: to another folder, another store, or other databases.

Everything is copied and verified before the new places count, and the old places are
not changed. An interrupted migration starts over.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal

from headrace.credentials import hide_credentials
from headrace.errors import IntegrityError, UsageError
from headrace.evidence.verification import Verification, verify
from headrace.home import make_private
from headrace.records import Record
from headrace.settings import Settings, restore_variables
from headrace.state.copying import (
    check_ledger,
    copy_ledger,
    copy_tracking,
    relocate_all,
)
from headrace.state.disk import disk_errors
from headrace.state.home import Home
from headrace.state.ledger import ledger_exists
from headrace.state.ledger.holding import lease_busy
from headrace.state.ledger.leases import Leases
from headrace.state.store import Store
from headrace.state.tracking.artifacts import local_path

# In a home: what is a part of its own, or belongs to servers that run there.
_APART = (
    *("store", "mlartifacts", "headrace.db*", "mlflow.*", "postgres*", "sqlite"),
    *("up.*", "*.log*", "*.lock", "*.sock", "serving"),
)
_STORES = ("store", "artifacts")
_TRACKING = "MLFLOW_TRACKING_URI"

log = logging.getLogger("headrace")


@dataclass(frozen=True)
class Destination:
    """Where the parts of a home go; a part with an empty field stays where it is.

    Attributes:
        in_home: the databases are the home's own, and no variable names them.
    """

    home: Path | None = None
    store: str = ""
    database_url: str = ""
    tracking_uri: str = ""
    in_home: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """The variables that name it, without passwords."""
        values = {"HEADRACE_HOME": str(self.home or ""), "HEADRACE_STORE": self.store}
        if not self.in_home:
            values["HEADRACE_DATABASE_URL"] = self.database_url
            values[_TRACKING] = self.tracking_uri
        return {name: hide_credentials(text) for name, text in values.items() if text}


class MovedPart(Record):
    """A part of a home that goes to another place."""

    name: str
    source: str
    target: str


class Migration(Record):
    """What was moved, or would be.

    Attributes:
        environment: the variables to set from now on.
        chain: ``rows`` of the ledger, and ``head``, its last link, in both places.
        reason: the result of the verification.
    """

    status: Literal["migrated", "ready"]
    parts: tuple[MovedPart, ...]
    environment: dict[str, str]
    chain: dict[str, Any]
    reason: str
    seconds: float


def migrate(
    settings: Settings, destination: Destination, *, only_check: bool = False
) -> Migration:
    """Copy the parts that have another place in the destination, and verify them there.

    Args:
        settings: of the home as it is; no server of it and no run may be alive.
        destination: the new places.
        only_check: only report what would be moved.

    Raises:
        UsageError: the destination contains something else, or there is none.
        IntegrityError: the home does not fit its ledger, or the copy does not.
        DependencyError: a run is alive, or a place does not answer.
    """
    started = time.perf_counter()
    old = _places(settings)
    with _settings_in(settings, destination) as target:
        new = _places(target)
        home = str(destination.home or new["home"])
        final = {part: _moved(text, new["home"], home) for part, text in new.items()}
        parts = tuple(
            MovedPart(
                name=part,
                source=hide_credentials(old[part]),
                target=hide_credentials(final[part]),
            )
            for part in old
            if old[part] != final[part]
        )
        _check_target(old, new, destination, {part.name for part in parts})
    verification = _verified(settings, f"The home {settings.home}")
    if not only_check:
        with _settings_in(settings, destination) as target:
            _copy(old, new, target, final["artifacts"])
            _compare(settings, verification, _verified(target, "The copy"))
            if new["home"] != final["home"]:
                Path(new["home"]).rename(final["home"])
            if old["mlflow"] == new["mlflow"]:
                relocate_all(old["mlflow"], old["artifacts"], final["artifacts"])
    return Migration(
        status="ready" if only_check else "migrated",
        parts=parts,
        environment=destination.environment,
        chain=verification.chain,
        reason=verification.reason,
        seconds=round(time.perf_counter() - started, 3),
    )


def _verified(settings: Settings, what: str) -> Verification:
    leases, now = Leases(settings.database_url).all()
    for lease in leases:
        if lease.is_alive(now):
            raise lease_busy(lease)
    verification = verify(settings)
    if verification.problem is not None:
        raise IntegrityError(
            f"{what} is not as recorded: {verification.problem.message}",
            f"Nothing was moved. {verification.problem.action}",
        )
    return verification


def _compare(settings: Settings, before: Verification, after: Verification) -> None:
    head = Home(settings).ledger.walk_chain().head
    is_same = head == before.chain["head"] == after.chain["head"]
    counts = [(one.checked, one.missing) for one in (before, after)]
    if not is_same or counts[0] != counts[1]:
        raise IntegrityError(
            "The copy differs from the home, which was written to meanwhile.",
            "Nothing was moved. Run the same command again.",
        )


def _places(settings: Settings) -> dict[str, str]:
    """Where each part is now; later changes of the environment do not change this."""
    return {
        "home": str(settings.home.absolute()),
        "store": settings.store,
        "artifacts": settings.artifacts,
        "ledger": settings.database_url,
        "mlflow": settings.tracking_uri,
    }


@contextlib.contextmanager
def _settings_in(settings: Settings, destination: Destination) -> Iterator[Settings]:
    """The settings of the destination; a new home is made next to its place."""
    values = settings.model_dump(exclude_unset=True)
    for name in ("store", "database_url"):
        if text := getattr(destination, name):
            values[name] = text
    with restore_variables(_TRACKING), contextlib.ExitStack() as at_end:
        if destination.tracking_uri:
            os.environ[_TRACKING] = destination.tracking_uri
        if destination.home is not None:
            name = f".{destination.home.name}.migrating"
            values["home"] = work = destination.home.with_name(name)
            shutil.rmtree(work, ignore_errors=True)  # of an interrupted migration
            at_end.callback(shutil.rmtree, work, ignore_errors=True)
        yield Settings(**values)


def _moved(text: str, home: str, target: str) -> str:
    """A place in a home as it is in another home: a path, or a URI of one."""
    uri, target_uri = Path(home).as_uri(), Path(target).as_uri()
    return text.replace(uri, target_uri).replace(home, target)


def _store(name: str, places: dict[str, str]) -> Store:
    """The store at one of `_places`; MLflow's URIs of local paths are quoted."""
    uri = places[name]
    return Store(str(local_path(uri) or uri) if name == "artifacts" else uri)


def _check_target(
    old: dict[str, str],
    new: dict[str, str],
    destination: Destination,
    moved: set[str],
) -> None:
    """Refuse a destination that is the old one, is taken, or cannot be reached."""
    if not moved:
        raise UsageError(
            "Everything is there already: nothing would be moved.",
            "Name another place: --to, --store, --database-url, --tracking-uri or "
            "--postgres.",
        )
    home = destination.home
    if home is not None and home.is_relative_to(old["home"]):
        raise UsageError(f"{home} is inside the home.", "Name another folder.")
    if home is not None and (home.is_file() or (home.is_dir() and any(home.iterdir()))):
        raise UsageError(f"{home} is there already.", "Name a new or an empty folder.")
    if moved & {"artifacts", "mlflow"} and old["mlflow"].startswith("http"):
        raise UsageError(
            f"MLflow is a server ({old['mlflow']}), whose database cannot be moved "
            "here.",
            "Stop it, and set MLFLOW_TRACKING_URI to its database.",
        )
    for name in moved.intersection(_STORES):
        target = _store(name, new)
        if strange := set(target.keys()) - set(_store(name, old).keys()):
            raise UsageError(
                f"{target.uri(min(strange))} is there, and is not of this home.",
                "Name an empty place.",
            )
    if "ledger" in moved and not destination.in_home and ledger_exists(new["ledger"]):
        check_ledger(old["ledger"], new["ledger"])


def _copy(
    old: dict[str, str], new: dict[str, str], target: Settings, artifacts: str
) -> None:
    """Copy all parts whose places differ.

    Args:
        old, new: the places.
        target: the settings of the new ones.
        artifacts: where MLflow's artifacts will be in the end.
    """
    if old["home"] != new["home"]:
        log.info("migrate: the files of the home")
        _copy_rest(Path(old["home"]), Path(new["home"]))
    for name in _STORES:
        if old[name] != new[name]:
            log.info("migrate: %s", name)
            _store(name, old).copy_all(_store(name, new))
    if old["ledger"] != new["ledger"]:
        log.info("migrate: the ledger")
        copy_ledger(old["ledger"], new["ledger"])
    file = old["mlflow"].removeprefix("sqlite:///")
    has_runs = file == old["mlflow"] or Path(file).is_file()
    if old["mlflow"] != new["mlflow"] and has_runs:
        log.info("migrate: MLflow's database")
        copy_tracking(old["mlflow"], target, old["artifacts"], artifacts)


def _copy_rest(home: Path, work: Path) -> None:
    """Copy what is no part of its own: Prefect's database, logins, downloaded data."""
    with disk_errors(str(work.parent)):
        make_private(work)
        for path in home.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in _APART):
                continue
            if path.is_dir():
                shutil.copytree(path, work / path.name, symlinks=True)
            else:
                shutil.copy2(path, work / path.name)
