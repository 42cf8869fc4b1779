"""Timeouts and errors of the S3 client that MLflow uses when it has no server."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING, Any

from headrace.settings import variable
from headrace.state.store.remote import CONNECT_SECONDS, READ_SECONDS

if TYPE_CHECKING:
    from headrace.settings import Settings

_ATTEMPTS = 4
_REFUSED = re.compile(
    "AccessDenied|ExpiredToken|InvalidAccessKeyId|NoSuchBucket|SignatureDoesNotMatch"
    "|Unable to locate credentials"
)


def limit_s3(settings: Settings) -> None:
    """Set timeouts and retries of all S3 clients of the process.

    MLflow sets neither for its client.
    """
    if not (settings.store.startswith("s3:") or variable("MLFLOW_S3_ENDPOINT_URL")):
        return
    # Imported by name: no result of a stage depends on the version.
    try:
        boto3: Any = importlib.import_module("boto3")
        botocore: Any = importlib.import_module("botocore.session")
        config: Any = importlib.import_module("botocore.config")
    except ImportError:
        return  # then only an MLflow server uses S3
    session = botocore.get_session()
    session.set_default_client_config(
        config.Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        )
    )
    boto3.setup_default_session(botocore_session=session)


def is_of_s3(error: Exception) -> bool:
    """Whether the S3 client raised it."""
    return type(error).__module__.partition(".")[0] in {"boto3", "botocore"}


def refusal(error: Exception) -> str:
    """S3's code of a refused request; empty for another error."""
    match = _REFUSED.search(str(error))
    return match.group() if match else ""
