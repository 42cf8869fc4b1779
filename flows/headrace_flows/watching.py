"""What the monitor flow and its command share. Does not import Prefect."""

from __future__ import annotations

from typing import Any

from headrace.monitoring.records import MonitorRecord
from headrace.settings import Settings
from headrace_flows.summary import mlflow_page


def with_pages(record: MonitorRecord, settings: Settings) -> MonitorRecord:
    """The report with a link to its run in MLflow."""
    if record.run_id is None:
        return record
    place = f"experiments/{record.experiment_id}/runs/{record.run_id}"
    links = {**record.links, "mlflow": mlflow_page(settings, place)}
    return record.model_copy(update={"links": links})


def drift_of(record: MonitorRecord) -> dict[str, Any]:
    """The payload of the event ``headrace.drift``."""
    return {
        "message": record.reason,
        "version": record.version,
        "status": record.status,
        "window": record.window.source,
        "run_id": record.run_id,
        "page": record.links.get("mlflow", ""),
    }
