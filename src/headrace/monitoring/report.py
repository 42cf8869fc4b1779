"""The report of a window: a page and metrics in MLflow, Markdown for Prefect."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.display.pages import render
from headrace.errors import IntegrityError
from headrace.monitoring.batches import Batch
from headrace.monitoring.pictures import pictures_of, samples
from headrace.monitoring.profiles import Profile
from headrace.monitoring.records import MonitorRecord
from headrace.monitoring.reference import snapshot_of
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.tracking.artifacts import local_path

PAGE = "monitor.html"
TAG = "headrace.monitor"
VERSION_TAG = "headrace.monitor.version"
STATUS_TAG = "monitor"


def log_report(
    record: MonitorRecord,
    batch: Batch,
    profile: Profile,
    settings: Settings,
    tags: Mapping[str, str],
) -> MonitorRecord:
    """Log a page and the metrics as a run of the model's experiment in MLflow.

    Args:
        record: the report.
        batch: the rows of the window.
        profile: the reference.
        settings: where MLflow and the store are.
        tags: of the run, beside those that say what it is.

    Returns:
        the report with the id of the run and a link to the page.

    Raises:
        DependencyError: MLflow failed.
    """
    tracking = Home(settings).tracking
    name = f"monitor {datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
    own = {TAG: PAGE, VERSION_TAG: str(record.version), STATUS_TAG: record.status}
    page = render(PAGE, **_contents(record, batch, profile, settings))
    with tracking.run(record.model, name, {**tags, **own}) as ids:
        run_id, experiment_id = ids
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            (Path(place) / PAGE).write_text(page, encoding="utf-8")
            text = record.model_dump_json(indent=1)
            (Path(place) / "monitor.json").write_text(text, encoding="utf-8")
            tracking.log_files(run_id, Path(place))
        tracking.log_metrics(run_id, record.metrics)
    where = f"{tracking.run_place(run_id)}/{PAGE}"
    links = {"report": str(local_path(where) or where)}
    update = {"run_id": run_id, "experiment_id": experiment_id, "links": links}
    return record.model_copy(update=update)


def _contents(
    record: MonitorRecord, batch: Batch, profile: Profile, settings: Settings
) -> dict[str, Any]:
    """The variables of the template of the page."""
    snapshot = None
    with contextlib.suppress(IntegrityError):  # then there are no reference samples
        version = Home(settings).ledger.version(record.model, record.version)
        snapshot = snapshot_of(version, Home(settings).store)
    return {
        "title": f"{record.model}, version {record.version}: {record.status}",
        "record": record,
        "reference": profile.facts,
        "pictures": pictures_of(record, batch, profile),
        "samples": samples(record, batch, profile, snapshot),
    }


def as_markdown(record: MonitorRecord) -> str:
    """The report as Markdown, without pictures."""
    return render("monitor.md", record=record)
