"""Artifacts in MLflow's artifact store: behind its server, in S3 or on a disk."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import DependencyError, NotFoundError
from headrace.state.store import atomic_file, disk_errors
from headrace.state.tracking.connection import import_mlflow, tracking_errors

_ABSENT = {None, errno.ENOENT, errno.ENOTDIR}
# Errors for a missing artifact, of a server or S3; other failures have them as well.
_MAY_BE_GONE = re.compile(r"\b(404|500)\b|NoSuchKey|RESOURCE_DOES_NOT_EXIST")


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


def put(uri: str, folder: str, path: str, file: Path) -> None:
    """Write or replace an artifact atomically.

    Args:
        uri: of MLflow, for messages.
        folder: the URI of a folder of artifacts.
        path: below it.
        file: the file to copy.

    Raises:
        DependencyError: MLflow, its disk or its artifact store failed.
    """
    target = local_path(folder)
    if target is None:
        import_mlflow()
        from mlflow.store.artifact.artifact_repository_registry import (
            get_artifact_repository,
        )

        with tracking_errors(uri), tempfile.TemporaryDirectory() as temporary_folder:
            copy = shutil.copyfile(file, Path(temporary_folder) / Path(path).name)
            parent = path.rpartition("/")[0] or None
            repository: Any = get_artifact_repository(folder, uri)
            repository.log_artifact(str(copy), parent)
        return
    target /= path
    with disk_errors(str(target.parent)), atomic_file(target) as temporary:
        shutil.copyfile(file, temporary)


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
