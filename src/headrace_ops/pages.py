"""Where `headrace up` serves Headrace's own pages: beside MLflow's."""

from __future__ import annotations

from headrace.settings import Settings, variable
from headrace_ops.environment import mlflow_has_users
from headrace_ops.live import live_links

PREFIX = "/headrace/"
DATA_DOCS = f"{PREFIX}data_docs/"


def report_path(run_id: str) -> str:
    """Where the report of an MLflow run is served."""
    return f"{PREFIX}reports/{run_id}"


def data_docs_path(uri: str) -> str:
    """Where the page of a validation is served, by its URI in the store."""
    folder, _, page = uri.rpartition("/")
    return f"{DATA_DOCS}{folder.rpartition('/')[2]}/{page}"


def are_served(settings: Settings) -> bool:
    """Whether `headrace up` serves these pages in this home, now or when it runs."""
    configured = variable("MLFLOW_TRACKING_URI")
    is_own = configured == live_links(settings).get("mlflow")
    is_elsewhere = configured.startswith("http") and not is_own
    return not is_elsewhere and not mlflow_has_users()
