"""Reading artifacts wherever MLflow keeps them: by its server, in S3, on a disk."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from headrace.errors import DependencyError, NotFoundError
from headrace.tracking.door import import_mlflow, tracking_errors

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


def _is_listed(uri: str, source: str) -> bool:
    folder, _, name = source.rpartition("/")
    with tracking_errors(uri):
        found = import_mlflow().artifacts.list_artifacts(artifact_uri=folder)
    return any(file.path.rpartition("/")[2] == name for file in found)
