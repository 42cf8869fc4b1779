"""The locations of a version's files, and their digests there.

Unless an MLflow server chooses the location, a file is found without calling MLflow. So
a run without changes checks its champion in a quarter of a second.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol

from headrace.state.store import file_system
from headrace.state.store.remote import ask
from headrace.state.tracking.artifacts import local_path
from headrace.state.tracking.models import file_digest

_HOME = "{artifacts}"
_cache: dict[tuple[Any, ...], str] = {}  # digests by URI, size, times and the like


class Registered(Protocol):
    """The parts of the ledger's row of a version that are used here."""

    @property
    def model(self) -> str:
        """The model's name, which is that of the experiment."""

    @property
    def run_id(self) -> str:
        """MLflow's run."""

    @property
    def model_uri(self) -> str:
        """``models:/m-...``."""

    @property
    def model_digest(self) -> str:
        """sha256 of the model file."""

    @property
    def golden_digest(self) -> str:
        """sha256 of the golden file; may be empty."""

    @property
    def details(self) -> Mapping[str, Any]:
        """May have recorded ``places``."""


def portable(place: str, artifacts: str) -> str:
    """A URI as it is recorded: relative to the artifacts, so the home can be moved.

    Args:
        place: URI of a folder.
        artifacts: URI of the folder of all artifacts, from the settings.
    """
    below = place.startswith(f"{artifacts}/")
    return _HOME + place[len(artifacts) :] if below else place


def model_places(version: Registered, artifacts: str) -> list[str]:
    """URIs of folders that may contain a version's logged model, likeliest first."""
    identity = version.model_uri.rpartition("/")[2]
    usual = f"{artifacts}/{version.model}/models/{identity}/artifacts"
    return _with_recorded(version, "model", usual, artifacts)


def run_places(version: Registered, artifacts: str) -> list[str]:
    """URIs of folders that may contain the artifacts of a version's run."""
    usual = f"{artifacts}/{version.model}/{version.run_id}/artifacts"
    return _with_recorded(version, "run", usual, artifacts)


def _with_recorded(
    version: Registered, name: str, usual: str, artifacts: str
) -> list[str]:
    recorded = str(version.details.get("places", {}).get(name, ""))
    first = [recorded.replace(_HOME, artifacts)] if recorded else []
    return list(dict.fromkeys([*first, usual]))


def digest_at(uri: str) -> str:
    """sha256 of the file at a path or URI; empty if there is none.

    The digest is cached until the file's size or times change.

    Raises:
        DependencyError: a remote location does not answer.
    """
    path = local_path(uri)
    if path is None:
        return "" if uri.startswith("mlflow-artifacts:") else _remote_digest(uri)
    try:
        stat = path.stat()
        key = (uri, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if key not in _cache:
            _cache[key] = file_digest(path)
    except OSError:
        return ""
    return _cache[key]


def _remote_digest(uri: str) -> str:
    files, path = file_system(uri)
    try:
        return ask(uri, lambda: _hash(files, path, uri))
    except FileNotFoundError:
        return ""


def _hash(files: Any, path: str, uri: str) -> str:
    with files.open(path, "rb", cache_type="none") as file:
        details = file.details  # known since it was opened, without another request
        key = (uri, *(str(details.get(k)) for k in ("size", "ETag", "LastModified")))
        if key not in _cache:
            digest = hashlib.sha256()
            while part := file.read(2**23):
                digest.update(part)
            _cache[key] = digest.hexdigest()
        return _cache[key]
