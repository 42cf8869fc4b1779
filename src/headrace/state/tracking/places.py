"""Where a version's files are, and the digests that they have there.

Headrace has MLflow keep them where they can be found without MLflow, unless a server
of its own chooses. So an unchanged run checks its champion and still answers in a
quarter of a second.
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
_known: dict[tuple[Any, ...], str] = {}  # digests, by place and what changes with it


class Registered(Protocol):
    """What is asked of a version: its row in the ledger has it."""

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
        """``places`` in it, where they were written down."""


def portable(place: str, artifacts: str) -> str:
    """A place as it is written down: valid in a copy of the home as well.

    Args:
        place: URI of a folder.
        artifacts: URI of the folder of all artifacts, as the settings have it.
    """
    below = place.startswith(f"{artifacts}/")
    return _HOME + place[len(artifacts) :] if below else place


def model_places(version: Registered, artifacts: str) -> list[str]:
    """URIs of folders that may hold a version's logged model, the likeliest first."""
    identity = version.model_uri.rpartition("/")[2]
    usual = f"{artifacts}/{version.model}/models/{identity}/artifacts"
    return _with_recorded(version, "model", usual, artifacts)


def run_places(version: Registered, artifacts: str) -> list[str]:
    """URIs of folders that may hold the artifacts of a version's run."""
    usual = f"{artifacts}/{version.model}/{version.run_id}/artifacts"
    return _with_recorded(version, "run", usual, artifacts)


def _with_recorded(
    version: Registered, name: str, usual: str, artifacts: str
) -> list[str]:
    recorded = str(version.details.get("places", {}).get(name, ""))
    first = [recorded.replace(_HOME, artifacts)] if recorded else []
    return list(dict.fromkeys([*first, usual]))


def digest_at(uri: str) -> str:
    """sha256 of the file at a path or URI; empty where there is none.

    Read again only where its size or its times are others than when this process read
    it last.

    Raises:
        DependencyError: a remote place does not answer.
    """
    path = local_path(uri)
    if path is None:
        return "" if uri.startswith("mlflow-artifacts:") else _remote_digest(uri)
    try:
        facts = path.stat()
        mark = (uri, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
        if mark not in _known:
            _known[mark] = file_digest(path)
    except OSError:
        return ""
    return _known[mark]


def _remote_digest(uri: str) -> str:
    files, path = file_system(uri)
    try:
        return ask(uri, lambda: _hash(files, path, uri))
    except FileNotFoundError:
        return ""


def _hash(files: Any, path: str, uri: str) -> str:
    with files.open(path, "rb", cache_type="none") as file:
        facts = file.details  # asked for when it was opened: no request of their own
        mark = (uri, *(str(facts.get(k)) for k in ("size", "ETag", "LastModified")))
        if mark not in _known:
            digest = hashlib.sha256()
            while part := file.read(2**23):
                digest.update(part)
            _known[mark] = digest.hexdigest()
        return _known[mark]
