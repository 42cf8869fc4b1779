"""Moving a home: to another folder, another store, or other databases.

Everything is copied and verified before anything counts, and the old places stay as
they are. What was interrupted is begun again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import field_validator

from headrace.credentials import hide_credentials
from headrace.errors import IntegrityError, UsageError
from headrace.home import make_private
from headrace.records import Record
from headrace.settings import Settings, keeping
from headrace.state.ledger import Leases, Ledger, is_there
from headrace.state.ledger.copying import check_target, copy_ledger
from headrace.state.ledger.leases import busy
from headrace.state.store import Store, disk_errors
from headrace.state.tracking.copying import copy_tracking, relocate_all
from headrace.use.verification import Verification, verify

_TRACKING = "MLFLOW_TRACKING_URI"
# In a home: what has a part of its own, or belongs to servers that run there.
_APART = (
    *("store", "mlartifacts", "headrace.db*", "mlflow.*", "postgres*", "sqlite"),
    *("up.*", "*.log*", "*.lock"),
)

log = logging.getLogger("headrace")


@dataclass(frozen=True)
class Destination:
    """Where the parts of a home go; what is empty stays where it is.

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
        """The variables that name it."""
        values = {
            "HEADRACE_HOME": str(self.home or ""),
            "HEADRACE_STORE": self.store,
            "HEADRACE_DATABASE_URL": "" if self.in_home else self.database_url,
            _TRACKING: "" if self.in_home else self.tracking_uri,
        }
        return {name: value for name, value in values.items() if value}


PartName = Literal["home", "store", "artifacts", "ledger", "mlflow"]


class Part(Record):
    """A part of a home that goes to another place."""

    name: PartName
    source: str
    target: str

    @field_validator("source", "target")
    @classmethod
    def _without_passwords(cls, text: str) -> str:
        return hide_credentials(text)


class Migration(Record):
    """What was moved, or would be.

    Attributes:
        environment: the variables to set from now on.
        chain: ``rows`` of the ledger, and ``head``, its last link, in both places.
    """

    status: Literal["migrated", "ready"]
    parts: tuple[Part, ...]
    environment: dict[str, str]
    chain: dict[str, Any]
    reason: str
    seconds: float


@dataclass(frozen=True)
class _Places:
    """Where the parts of a home are now; settings follow the environment."""

    home: str
    store: str
    artifacts: str
    ledger: str
    mlflow: str

    @classmethod
    def of(cls, settings: Settings) -> _Places:
        return cls(
            home=str(settings.home.absolute()),
            store=settings.store,
            artifacts=settings.artifacts,
            ledger=settings.database_url,
            mlflow=settings.tracking_uri,
        )

    def moved(self, home: Path, to: Path | None) -> _Places:
        """The same once the home is renamed."""
        if to is None:
            return self
        old, new = str(home.absolute()), str(to.absolute())
        return _Places(*(value.replace(old, new) for value in astuple(self)))


def migrate(
    settings: Settings, destination: Destination, *, only_check: bool = False
) -> Migration:
    """Copy what has another place in the destination, and verify it there.

    Args:
        settings: of the home as it is; no server of it and no run may be alive.
        destination: what is to be elsewhere.
        only_check: say what would be moved, and change nothing.

    Raises:
        UsageError: the destination has something of its own, or is none.
        IntegrityError: the home does not fit its ledger, or the copy does not.
        DependencyError: a run is alive, or a place does not answer.
    """
    started = time.perf_counter()
    _check_idle(settings)
    before = verify(settings)
    _check_whole(before, f"The home {settings.home}")
    old = _Places.of(settings)
    with _settings_in(settings, destination) as target:
        new = _Places.of(target)
        final = new.moved(target.home, destination.home)
        parts = _parts(old, final)
        _check(old, new, destination, parts)
        if only_check:
            reason = before.reason
        else:
            reason = _migrate(settings, target, (old, new, final), before)
    return Migration(
        status="ready" if only_check else "migrated",
        parts=parts,
        environment={
            k: hide_credentials(v) for k, v in destination.environment.items()
        },
        chain=before.chain,
        reason=reason,
        seconds=round(time.perf_counter() - started, 3),
    )


def _migrate(
    settings: Settings,
    target: Settings,
    places: tuple[_Places, _Places, _Places],
    before: Verification,
) -> str:
    old, new, final = places
    _copy(old, new, final, target)
    after = verify(target)
    _check_whole(after, "The copy")
    _check_idle(settings)
    head = Ledger(old.ledger).walk_chain().head
    same = (after.chain, after.checked, after.missing, head)
    if same != (before.chain, before.checked, before.missing, before.chain["head"]):
        raise IntegrityError(
            "The copy differs from the home, which was written to meanwhile.",
            "Nothing was moved. Run the same command again.",
        )
    if new.home != final.home:
        Path(new.home).rename(final.home)
    if old.mlflow == new.mlflow and old.artifacts != new.artifacts:
        relocate_all(old.mlflow, old.artifacts, final.artifacts)
    return after.reason


def _check_idle(settings: Settings) -> None:
    leases, now = Leases(settings.database_url).all()
    for lease in leases:
        if lease.is_alive(now):
            raise busy(lease)


def _check_whole(verification: Verification, what: str) -> None:
    if verification.problem is not None:
        raise IntegrityError(
            f"{what} is not as recorded: {verification.problem.what}",
            f"Nothing was moved. {verification.problem.action}",
        )


@contextlib.contextmanager
def _settings_in(settings: Settings, destination: Destination) -> Iterator[Settings]:
    """The settings of the destination; a new home is made beside its place."""
    values: dict[str, Any] = {
        name: getattr(settings, name) for name in settings.model_fields_set
    }
    if destination.home is not None:
        home = destination.home
        values["home"] = home.with_name(f".{home.name}.migrating")
    if destination.store:
        values["store"] = destination.store
    if destination.database_url:
        values["database_url"] = destination.database_url
    with keeping(_TRACKING), contextlib.ExitStack() as at_end:
        if destination.tracking_uri:
            os.environ[_TRACKING] = destination.tracking_uri
        if destination.home is not None:
            shutil.rmtree(values["home"], ignore_errors=True)  # of an interrupted one
            at_end.callback(shutil.rmtree, values["home"], ignore_errors=True)
        yield Settings(**values)


def _parts(old: _Places, final: _Places) -> tuple[Part, ...]:
    names: tuple[PartName, ...] = get_args(PartName)
    return tuple(
        Part(name=name, source=getattr(old, name), target=getattr(final, name))
        for name in names
        if getattr(old, name) != getattr(final, name)
    )


def _check(
    old: _Places, new: _Places, destination: Destination, parts: tuple[Part, ...]
) -> None:
    """Refuse a destination that is the old one, is taken, or cannot be reached."""
    if not parts:
        raise UsageError(
            "Everything is there already: nothing would be moved.",
            "Name another place: --to, --store, --database-url, --tracking-uri or "
            "--postgres.",
        )
    home = destination.home
    if (
        home is not None
        and home.exists()
        and (not home.is_dir() or any(home.iterdir()))
    ):
        raise UsageError(f"{home} is there already.", "Name a new or an empty folder.")
    if home is not None and home.is_relative_to(old.home):
        raise UsageError(f"{home} is inside of the home.", "Name another folder.")
    moved = {part.name for part in parts}
    if moved & {"artifacts", "mlflow"} and old.mlflow.startswith("http"):
        raise UsageError(
            f"MLflow is a server ({old.mlflow}), whose database cannot be moved here.",
            "Stop it, and set MLFLOW_TRACKING_URI to its database.",
        )
    for name in ("store", "artifacts"):
        if name in moved:
            _check_store(Store(getattr(old, name)), Store(getattr(new, name)))
    if "ledger" in moved and not destination.in_home and is_there(new.ledger):
        check_target(old.ledger, new.ledger)


def _check_store(old: Store, new: Store) -> None:
    strange = set(new.keys()) - set(old.keys())
    if strange:
        raise UsageError(
            f"{new.uri(min(strange))} is there already, and is not of this home.",
            "Name an empty place.",
        )


def _copy(old: _Places, new: _Places, final: _Places, target: Settings) -> None:
    if old.home != new.home:
        log.info("migrate: the files of the home")
        _copy_rest(Path(old.home), Path(new.home))
    for name in ("store", "artifacts"):
        source, place = getattr(old, name), getattr(new, name)
        if source != place:
            log.info("migrate: %s", name)
            Store(source).copy_all(Store(place))
    if old.ledger != new.ledger:
        log.info("migrate: the ledger")
        copy_ledger(old.ledger, new.ledger)
    if old.mlflow != new.mlflow and _has_rows(old.mlflow):
        log.info("migrate: MLflow's database")
        copy_tracking(old.mlflow, target, old.artifacts, final.artifacts)


def _has_rows(uri: str) -> bool:
    """Whether a database of MLflow is there; a home without a run has none."""
    return not uri.startswith("sqlite:///") or Path(uri[len("sqlite:///") :]).is_file()


def _copy_rest(home: Path, work: Path) -> None:
    """What has no part of its own: Prefect's database, logins, downloaded data."""
    with disk_errors(str(work.parent)):
        make_private(work)
        for path in home.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in _APART):
                continue
            if path.is_dir():
                shutil.copytree(path, work / path.name, symlinks=True)
            else:
                shutil.copy2(path, work / path.name)
