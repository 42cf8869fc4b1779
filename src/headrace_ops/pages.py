"""The paths of Headrace's own pages on the MLflow server of `headrace up`."""

from __future__ import annotations

from headrace.settings import Settings, variable
from headrace_ops.environment import mlflow_has_users
from headrace_ops.live import live_links

PREFIX = "/headrace/"
DATA_DOCS = f"{PREFIX}data_docs/"


def report_path(run_id: str) -> str:
    """The path of the report of an MLflow run."""
    return f"{PREFIX}reports/{run_id}"


def data_docs_path(uri: str) -> str:
    """The path of a validation's page, from its URI in the store."""
    folder, _, page = uri.rpartition("/")
    return f"{DATA_DOCS}{folder.rpartition('/')[2]}/{page}"


def are_served(settings: Settings) -> bool:
    """Whether `headrace up` serves these pages when it runs in this home."""
    configured = variable("MLFLOW_TRACKING_URI")
    is_own = configured == live_links(settings).get("mlflow")
    is_elsewhere = configured.startswith("http") and not is_own
    return not is_elsewhere and not mlflow_has_users()
