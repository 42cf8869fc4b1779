"""Where things are: the one reader of ``HEADRACE_*`` in the environment.

MLflow's and Prefect's own variables are theirs and are left untouched; where they
are absent, everything lives in the home, by default ``.headrace/`` of the project.
"""

from __future__ import annotations

import errno
import getpass
import os
import socket
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from headrace.errors import DependencyError, NotFoundError, UsageError
from headrace.spec import FILE_NAME

HOME_FORMAT = "1"


def find_project(start: Path) -> Path:
    """The nearest folder from ``start`` up with ``pipelines/`` or ``.headrace/``."""
    for folder in (start, *start.parents):
        if (folder / "pipelines").is_dir() or (folder / ".headrace").is_dir():
            return folder
    return start


class Settings(BaseSettings):
    """Places, each with its environment variable ``HEADRACE_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="HEADRACE_", frozen=True)

    project: Path = Field(default_factory=lambda: find_project(Path.cwd()))
    home: Path = Field(
        default_factory=lambda values: values["project"] / ".headrace",
        description="where state lives",
    )
    store: str = Field(
        default_factory=lambda values: str(values["home"].absolute() / "store"),
        description="fsspec URI of snapshots, stage records and reports",
    )
    database_url: str = Field(
        default_factory=lambda values: (
            f"sqlite:///{values['home'].absolute()}/headrace.db"
        ),
        description="SQLAlchemy URL of the ledger",
    )
    user: str = Field(
        default_factory=lambda: f"{getpass.getuser()}@{socket.gethostname()}",
        description="who promotes and rolls back",
    )
    dask_address: str = Field(
        default="",
        description="a Dask scheduler whose workers share the store's folder; empty: "
        "processes of this machine",
    )
    max_bytes: int = Field(
        default=64 * 2**30, gt=0, description="of one data set, decoded"
    )
    max_members: int = Field(
        default=5_000_000, gt=0, description="files in one archive or folder"
    )

    @property
    def tracking_uri(self) -> str:
        """MLflow's own variable, else a SQLite file in the home."""
        return os.environ.get("MLFLOW_TRACKING_URI", self.home_tracking_uri)

    @property
    def home_tracking_uri(self) -> str:
        """The SQLite file in the home."""
        return f"sqlite:///{self.home.absolute()}/mlflow.db"

    def prepare_home(self) -> Path:
        """Make the home and check its format.

        Raises:
            UsageError: the home was made by another version, or cannot be written.
            DependencyError: its disk is full.
        """
        marker = self.home / "format"
        try:
            if marker.exists():
                found = marker.read_text(encoding="utf-8", errors="replace").strip()
            elif self.home.is_dir() and (self.home / "headrace.db").exists():
                found = "0"
            else:
                self.home.mkdir(parents=True, exist_ok=True)
                temporary = self.home / f".format.{os.getpid()}"
                temporary.write_text(HOME_FORMAT + "\n", encoding="utf-8")
                temporary.replace(marker)
                found = HOME_FORMAT
        except OSError as error:
            is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
            raise (DependencyError if is_full else UsageError)(
                f"The home {self.home} cannot be written: {error.strerror}.",
                "Make room, or set HEADRACE_HOME to a folder that can be written.",
            ) from None
        if found != HOME_FORMAT:
            raise UsageError(
                f"The home {self.home} has format {found[:20]!r}; "
                f"this version reads format {HOME_FORMAT!r}.",
                "Use the Headrace that made it, or set HEADRACE_HOME to a new folder.",
            )
        return self.home


def pipeline_places(settings: Settings) -> list[Path]:
    """The folders that are searched for pipelines, nearest first."""
    package = Path(__file__).resolve().parent
    candidates = [
        settings.project / "pipelines",
        package.parents[1] / "pipelines",
        package / "pipelines",
    ]
    return [place for place in dict.fromkeys(candidates) if place.is_dir()]


def pipeline_names(settings: Settings) -> dict[str, Path]:
    """All pipelines that can be found by name, with their folders."""
    found: dict[str, Path] = {}
    for place in pipeline_places(settings):
        for path in sorted(place.glob(f"*/{FILE_NAME}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def find_pipeline(name: str, settings: Settings) -> Path:
    """The folder of a pipeline, given by path or by name.

    Raises:
        NotFoundError: there is none, with the nearest name.
    """
    if (Path(name) / FILE_NAME).is_file() and (os.sep in name or name.startswith(".")):
        return Path(name).resolve()
    names = pipeline_names(settings)
    if name in names:
        return names[name]
    import difflib

    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    known = ", ".join(sorted(names)) or "none"
    raise NotFoundError(
        f"There is no pipeline {name!r}.",
        f"Did you mean {near[0]}?" if near else f"Known pipelines: {known}.",
    )
