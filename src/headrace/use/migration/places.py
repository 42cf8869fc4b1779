"""Where the parts of a home are, and where they are to be."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.credentials import hide_credentials
from headrace.records import Record
from headrace.settings import Settings, restore_variables

_TRACKING = "MLFLOW_TRACKING_URI"


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
        """The variables that name it, without passwords."""
        values = {"HEADRACE_HOME": str(self.home or ""), "HEADRACE_STORE": self.store}
        if not self.in_home:
            values["HEADRACE_DATABASE_URL"] = self.database_url
            values[_TRACKING] = self.tracking_uri
        return {name: hide_credentials(text) for name, text in values.items() if text}


class Part(Record):
    """A part of a home that goes to another place."""

    name: str
    source: str
    target: str


def places_of(settings: Settings) -> dict[str, str]:
    """Where each part is; settings follow the environment, this does not."""
    return {
        "home": str(settings.home.absolute()),
        "store": settings.store,
        "artifacts": settings.artifacts,
        "ledger": settings.database_url,
        "mlflow": settings.tracking_uri,
    }


def renamed(places: dict[str, str], destination: Destination) -> dict[str, str]:
    """The places once a new home has its own name."""
    name = str(destination.home or places["home"])
    return {part: text.replace(places["home"], name) for part, text in places.items()}


def parts_between(old: dict[str, str], new: dict[str, str]) -> tuple[Part, ...]:
    """The parts whose places differ."""
    return tuple(
        Part(name=n, source=hide_credentials(old[n]), target=hide_credentials(new[n]))
        for n in old
        if old[n] != new[n]
    )


@contextlib.contextmanager
def settings_in(settings: Settings, destination: Destination) -> Iterator[Settings]:
    """The settings of the destination; a new home is made beside its place."""
    values: dict[str, Any] = {
        n: getattr(settings, n) for n in settings.model_fields_set
    }
    if destination.store:
        values["store"] = destination.store
    if destination.database_url:
        values["database_url"] = destination.database_url
    with restore_variables(_TRACKING), contextlib.ExitStack() as at_end:
        if destination.tracking_uri:
            os.environ[_TRACKING] = destination.tracking_uri
        if destination.home is not None:
            name = f".{destination.home.name}.migrating"
            values["home"] = work = destination.home.with_name(name)
            shutil.rmtree(work, ignore_errors=True)  # of an interrupted one
            at_end.callback(shutil.rmtree, work, ignore_errors=True)
        yield Settings(**values)
