"""Artifacts wherever MLflow keeps them: by its server, in S3, on a disk."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from headrace.errors import DependencyError, NotFoundError
from headrace.state.store import disk_errors, fsync_path
from headrace.state.tracking.door import import_mlflow, tracking_errors

_ABSENT = {None, errno.ENOENT, errno.ENOTDIR}
# What a server, S3 or MLflow's handler of it says of what is not there, and not only.
_MAY_BE_GONE = re.compile(r"\b(404|500)\b|NoSuchKey|RESOURCE_DOES_NOT_EXIST")


def fetch(uri: str, folder: str, path: str, place: str) -> Path:
    """A local copy of an artifact.

    Args:
        uri: of MLflow, for messages.
        folder: the URI of a folder of artifacts.
        path: below it.
        place: a local folder to copy to.

    Raises:
        FileNotFoundError: it is gone.
        DependencyError: MLflow or where it keeps artifacts failed.
    """
    mlflow = import_mlflow()
    source = f"{folder.rstrip('/')}/{path}"
    try:
        with tracking_errors(uri):
            return Path(mlflow.artifacts.download_artifacts(source, dst_path=place))
    except (NotFoundError, OSError) as error:
        if getattr(error, "errno", None) not in _ABSENT:  # such as a full disk
            raise
        raise FileNotFoundError(source) from error
    except DependencyError as error:
        if _MAY_BE_GONE.search(str(error.__cause__)) and not _is_listed(uri, source):
            raise FileNotFoundError(source) from error
        raise


def put(uri: str, folder: str, path: str, file: Path) -> None:
    """Write an artifact, whole or not at all; one that is there is replaced.

    Args:
        uri: of MLflow, for messages.
        folder: the URI of a folder of artifacts.
        path: below it.
        file: what is copied there.

    Raises:
        DependencyError: MLflow, its disk or where it keeps artifacts failed.
    """
    target = local_path(folder)
    if target is None:
        import_mlflow()
        from mlflow.store.artifact.artifact_repository_registry import (
            get_artifact_repository,
        )

        with tracking_errors(uri), tempfile.TemporaryDirectory() as place:
            named = shutil.copyfile(file, Path(place) / Path(path).name)
            parent = path.rpartition("/")[0] or None
            repository: Any = get_artifact_repository(folder, uri)
            repository.log_artifact(str(named), parent)
        return
    target /= path
    with disk_errors(str(target.parent)):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            shutil.copyfile(file, temporary)
            fsync_path(temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


def local_path(uri: str) -> Path | None:
    """The path of a local URI or a plain path; None where it is of another kind."""
    parts = urlsplit(uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return None if "://" in uri or parts.scheme == "mlflow-artifacts" else Path(uri)


def _is_listed(uri: str, source: str) -> bool:
    folder, _, name = source.rpartition("/")
    with tracking_errors(uri):
        found = import_mlflow().artifacts.list_artifacts(artifact_uri=folder)
    return any(file.path.rpartition("/")[2] == name for file in found)
