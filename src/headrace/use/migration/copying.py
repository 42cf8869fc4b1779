"""Copying the parts of a home, into places that have nothing of their own."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from headrace.errors import UsageError
from headrace.home import make_private
from headrace.settings import Settings
from headrace.state.copying import check_ledger, copy_ledger, copy_tracking
from headrace.state.disk import disk_errors
from headrace.state.ledger import ledger_exists
from headrace.state.store import Store
from headrace.use.migration.places import Destination, Part

# In a home: what is a part of its own, or belongs to servers that run there.
_APART = (
    *("store", "mlartifacts", "headrace.db*", "mlflow.*", "postgres*", "sqlite"),
    *("up.*", "*.log*", "*.lock"),
)
_STORES = ("store", "artifacts")

log = logging.getLogger("headrace")


def check_target(
    old: dict[str, str],
    new: dict[str, str],
    destination: Destination,
    parts: Collection[Part],
) -> None:
    """Refuse a destination that is the old one, is taken, or cannot be reached."""
    if not parts:
        raise UsageError(
            "Everything is there already: nothing would be moved.",
            "Name another place: --to, --store, --database-url, --tracking-uri or "
            "--postgres.",
        )
    home = destination.home
    if home is not None and home.is_relative_to(old["home"]):
        raise UsageError(f"{home} is inside of the home.", "Name another folder.")
    if home is not None and (home.is_file() or (home.is_dir() and any(home.iterdir()))):
        raise UsageError(f"{home} is there already.", "Name a new or an empty folder.")
    moved = {part.name for part in parts}
    if moved & {"artifacts", "mlflow"} and old["mlflow"].startswith("http"):
        raise UsageError(
            f"MLflow is a server ({old['mlflow']}), whose database cannot be moved "
            "here.",
            "Stop it, and set MLFLOW_TRACKING_URI to its database.",
        )
    for name in moved.intersection(_STORES):
        target = Store(new[name])
        strange = set(target.keys()) - set(Store(old[name]).keys())
        if strange:
            raise UsageError(
                f"{target.uri(min(strange))} is there, and is not of this home.",
                "Name an empty place.",
            )
    if "ledger" in moved and not destination.in_home and ledger_exists(new["ledger"]):
        check_ledger(old["ledger"], new["ledger"])


def copy(
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
            Store(old[name]).copy_all(Store(new[name]))
    if old["ledger"] != new["ledger"]:
        log.info("migrate: the ledger")
        copy_ledger(old["ledger"], new["ledger"])
    file = old["mlflow"].removeprefix("sqlite:///")
    has_runs = file == old["mlflow"] or Path(file).is_file()
    if old["mlflow"] != new["mlflow"] and has_runs:
        log.info("migrate: MLflow's database")
        copy_tracking(old["mlflow"], target, old["artifacts"], artifacts)


def _copy_rest(home: Path, work: Path) -> None:
    """What is no part of its own: Prefect's database, logins, downloaded data."""
    with disk_errors(str(work.parent)):
        make_private(work)
        for path in home.iterdir():
            if any(fnmatch(path.name, pattern) for pattern in _APART):
                continue
            if path.is_dir():
                shutil.copytree(path, work / path.name, symlinks=True)
            else:
                shutil.copy2(path, work / path.name)
