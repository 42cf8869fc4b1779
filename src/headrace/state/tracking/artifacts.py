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
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import DependencyError, NotFoundError
from headrace.state.ledger.records import Version
from headrace.state.regular import file_digest, read_file
from headrace.state.store import Store
from headrace.state.tracking.connection import import_mlflow, tracking_errors

HOME = "{artifacts}"
_ABSENT = {None, errno.ENOENT, errno.ENOTDIR}
# Errors for a missing artifact, of a server or S3; other failures have them as well.
_MAY_BE_GONE = re.compile(r"\b(404|500)\b|NoSuchKey|RESOURCE_DOES_NOT_EXIST")
_SHARED = re.compile(rb'"shared_object_id": \d+')
_digests: dict[tuple[Any, ...], str] = {}  # by path, size, times and the like


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


def read_folder(uri: str, folder: str, path: str) -> dict[str, bytes]:
    """The files of a folder of artifacts by name, without those of folders in it.

    On this machine they are read where they are, without calling MLflow; elsewhere the
    folder is listed once for all of them.

    Args:
        uri: of MLflow, for messages.
        folder: the URI of a folder of artifacts.
        path: of the folder below it; no file is in one that does not exist.

    Raises:
        DependencyError: MLflow or its artifact store failed.
    """
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="headrace-") as target:
        try:
            place = local_path(f"{folder.rstrip('/')}/{path}")
            place = place or fetch(uri, folder, path, target)
            for file in sorted(place.iterdir()):
                if file.is_file():
                    files[file.name] = read_file(file)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:
            raise DependencyError(
                f"{error.filename or path} cannot be read: {error.strerror}.",
                "Look at its permissions and its disk.",
            ) from error
    return files


def put(uri: str, folder: str, path: str, file: Path) -> None:
    """Write or replace an artifact atomically.

    Args:
        uri: of MLflow, for messages.
        folder: the URI of a folder of artifacts.
        path: below it.
        file: the file to copy.

    Raises:
        UsageError: a folder is in its place, or a file in that of its folder.
        DependencyError: MLflow, its disk or its artifact store failed.
    """
    if (place := local_path(folder)) is not None:
        Store(str(place)).write(path, file.read_bytes())
        return
    import_mlflow()
    from mlflow.store.artifact import artifact_repository_registry as registry

    with tracking_errors(uri), tempfile.TemporaryDirectory() as temporary_folder:
        copy = shutil.copyfile(file, Path(temporary_folder) / Path(path).name)
        repository: Any = registry.get_artifact_repository(folder, uri)
        repository.log_artifact(str(copy), path.rpartition("/")[0] or None)


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


def portable(place: str, artifacts: str) -> str:
    """A URI as it is recorded: relative to the artifacts, so the home can be moved.

    Args:
        place: URI of a folder.
        artifacts: URI of the folder of all artifacts, from the settings.
    """
    own, root = local_path(place), local_path(artifacts)
    if own is None or root is None or not own.is_absolute():
        below = place.startswith(f"{artifacts}/")
        return HOME + place[len(artifacts) :] if below else place
    for parent in own.parents:  # perhaps by another name of the home
        with contextlib.suppress(OSError):
            if parent == root or parent.samefile(root):
                return HOME + own.as_uri().removeprefix(parent.as_uri())
    return place


def model_places(version: Version, artifacts: str) -> list[str]:
    """URIs of folders that may contain a version's logged model, likeliest first."""
    identity = version.model_uri.rpartition("/")[2]
    usual = f"{artifacts}/{version.model}/models/{identity}/artifacts"
    return _places(version, "model", usual, artifacts)


def run_places(version: Version, artifacts: str) -> list[str]:
    """URIs of folders that may contain the artifacts of a version's run."""
    usual = f"{artifacts}/{version.model}/{version.run_id}/artifacts"
    return _places(version, "run", usual, artifacts)


def _places(version: Version, name: str, usual: str, artifacts: str) -> list[str]:
    recorded = str(version.details.get("places", {}).get(name, ""))
    first = [recorded.replace(HOME, artifacts)] if recorded else []
    return list(dict.fromkeys([*first, usual]))


def local_bytes(places: Iterable[str], path: str, digest: str) -> bytes | None:
    """The first file on this machine with a digest; None if there is none.

    Args:
        places: URIs of folders.
        path: below them.
        digest: sha256; an empty one is no file's.
    """
    for place in places:
        folder = local_path(place)
        with contextlib.suppress(OSError):
            data = read_file(folder / path) if folder else b""
            if hashlib.sha256(data).hexdigest() == digest:
                return data
    return None


def digest_at(uri: str) -> str:
    """sha256 of the file at a path or URI; empty if there is none.

    Of a file on this machine it is cached until its size or times change.

    Raises:
        DependencyError: a remote location does not answer.
    """
    path = local_path(uri)
    if uri.startswith("mlflow-artifacts:"):
        return ""
    try:
        if path is None:
            folder, _, name = uri.rpartition("/")
            return Store(folder).digest(name)
        stat = path.stat()
        key = (uri, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        if key not in _digests:
            _digests[key] = file_digest(path)
    except OSError:
        return ""
    return _digests[key]


def how_changed(uri: str, digest: str) -> str:
    """``was changed`` or ``is gone``; empty for a file with this sha256."""
    actual = digest_at(uri)
    if actual == digest:
        return ""
    return "was changed" if actual else "is gone"


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
