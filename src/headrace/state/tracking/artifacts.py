"""Artifacts in MLflow's artifact store: behind its server, in S3 or on a disk.

Unless an MLflow server chooses the location, a file is found without calling MLflow. So
a run without changes checks its champion in a quarter of a second.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import DependencyError, NotFoundError
from headrace.state.ledger.records import Version
from headrace.state.regular import file_digest
from headrace.state.store import Store
from headrace.state.tracking.connection import import_mlflow, tracking_errors

_ABSENT = {None, errno.ENOENT, errno.ENOTDIR}
# Errors for a missing artifact, of a server or S3; other failures have them as well.
_MAY_BE_GONE = re.compile(r"\b(404|500)\b|NoSuchKey|RESOURCE_DOES_NOT_EXIST")
_SHARED = re.compile(rb'"shared_object_id": \d+')


def fetch(uri: str, folder: str, path: str, target: str) -> Path:
    """A local copy of an artifact.

    Args:
        uri: of MLflow, for messages.
        folder: the URI of a folder of artifacts.
        path: below it.
        target: a local folder to copy to.

    Raises:
        FileNotFoundError: it is gone.
        DependencyError: MLflow or its artifact store failed.
    """
    mlflow = import_mlflow()
    source = f"{folder.rstrip('/')}/{path}"
    try:
        with tracking_errors(uri):
            return Path(mlflow.artifacts.download_artifacts(source, dst_path=target))
    except (NotFoundError, OSError) as error:
        if getattr(error, "errno", None) not in _ABSENT:  # such as a full disk
            raise
        raise FileNotFoundError(source) from error
    except DependencyError as error:
        if _MAY_BE_GONE.search(str(error.__cause__)) and not _is_listed(uri, source):
            raise FileNotFoundError(source) from error
        raise


def put(uri: str, folder: str, path: str, content: bytes) -> None:
    """Write or replace an artifact atomically.

    Args:
        uri: of MLflow.
        folder: the URI of a folder of artifacts.
        path: below it.
        content: of the file.

    Raises:
        UsageError: a folder is in its place, or a file in that of its folder.
        DependencyError: MLflow, its disk or its artifact store failed.
    """
    if (place := local_path(folder)) is not None:
        Store(str(place)).write(path, content)
        return
    below, _, name = path.rpartition("/")
    with tracking_errors(uri), tempfile.TemporaryDirectory() as temporary_folder:
        copy = Path(temporary_folder, name)
        copy.write_bytes(content)
        repository(uri, folder).log_artifact(str(copy), below or None)


def repository(uri: str, folder: str) -> Any:
    """MLflow's access to a folder of artifacts.

    Args:
        uri: of MLflow.
        folder: its URI.
    """
    import_mlflow()
    from mlflow.store.artifact import artifact_repository_registry as registry

    return registry.get_artifact_repository(folder, uri)


def local_path(uri: str) -> Path | None:
    """The path of a local URI or a plain path; None if it is remote."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in uri or parts.scheme == "mlflow-artifacts" else Path(uri)


def _is_listed(uri: str, source: str) -> bool:
    folder, _, name = source.rpartition("/")
    with tracking_errors(uri):
        files = import_mlflow().artifacts.list_artifacts(artifact_uri=folder)
    return any(file.path.rpartition("/")[2] == name for file in files)


def model_place(version: Version, artifacts: str) -> str:
    """URI of the folder of a version's logged model, unless a server chose another."""
    identity = version.model_uri.rpartition("/")[2]
    return f"{artifacts}/{version.model}/models/{identity}/artifacts"


def run_place(version: Version, artifacts: str) -> str:
    """URI of the folder of the artifacts of a version's run; see `model_place`."""
    return f"{artifacts}/{version.model}/{version.run_id}/artifacts"


def in_place(place: str, path: str, digest: str) -> Path | None:
    """A file on this machine; None if there is none with this digest.

    Args:
        place: URI of a folder.
        path: below it.
        digest: sha256; an empty one is no file's.
    """
    folder = local_path(place)
    file = folder / path if folder and digest else None
    return file if file and digest_at(str(file)) == digest else None


def digest_at(uri: str) -> str:
    """sha256 of the file at a path or URI; empty if there is none.

    Raises:
        DependencyError: a remote location does not answer.
    """
    if uri.startswith("mlflow-artifacts:"):
        return ""
    with contextlib.suppress(OSError):
        if (path := local_path(uri)) is not None:
            return file_digest(path)
        folder, _, name = uri.rpartition("/")
        return Store(folder).digest(name)
    return ""


def network_digest(file: Path | io.BytesIO) -> str:
    """sha256 of the layers of a Keras file: of its configuration, without weights.

    The time of saving, which the file has as well, does not count.
    """
    with zipfile.ZipFile(file) as opened:
        layers = opened.read("config.json")
    shared: dict[bytes, bytes] = {}  # what layers share is named by its address

    def number(match: re.Match[bytes]) -> bytes:
        return shared.setdefault(match[0], b'"shared": %d' % len(shared))

    return hashlib.sha256(_SHARED.sub(number, layers)).hexdigest()
