"""Where the report of a run is kept, and how it is found."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.display.pages import render
from headrace.errors import IntegrityError, NotFoundError
from headrace.pipeline.folders import find_pipeline
from headrace.settings import Settings
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger.records import model_of
from headrace.state.tracking import REPORT_FILE, Tracking
from headrace.state.tracking.artifacts import local_path

TAG = "headrace.report"


def log_report(run_id: str, shown: Mapping[str, Any], home: Home) -> None:
    """Write the HTML page of a run, log it with the run, and keep it in the store.

    The store's comes last: a run that has it needs nothing more.
    """
    home.tracking.log_tags(run_id, {TAG: REPORT_FILE})
    _keep(run_id, render(REPORT_FILE, **shown), home)


def _keep(run_id: str, page: str, home: Home) -> None:
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        Path(place, REPORT_FILE).write_bytes(page.encode())
        home.tracking.log_files(run_id, Path(place))
    home.store.write(card_key(run_id), page.encode())


def find_report(name: str, settings: Settings) -> str:
    """The path or URI of a report.

    Args:
        name: ``PIPELINE``, for its last run that has one; ``MODEL/VERSION`` or
            ``MODEL@champion``, for the run that the version is of.
        settings: where MLflow and the ledger are.

    Raises:
        NotFoundError: there is no such pipeline or version, or no run with a report.
        DependencyError: MLflow or the ledger does not answer.
    """
    home = Home(settings)
    tracking, ledger = home.tracking, home.ledger
    if {"/", "@"} & set(name):
        version = ledger.find(name)
        ledger.facts.require_files(version, IntegrityError)
        run_id: str | None = version.run_id
    else:
        run_id = tracking.newest_run(name, TAG)
    report = report_of(run_id, tracking) if run_id else None
    if report is None:
        model = model_of(name)
        if model not in ledger.models():
            find_pipeline(model, settings)
        raise NotFoundError(
            f"{name} has no report.",
            f"Run `headrace run {model}`: a run that trains ends with one.",
        )
    return report


def report_of(run_id: str, tracking: Tracking) -> str | None:
    """The path or URI of the report of a run in MLflow; None if it has none.

    Raises:
        DependencyError: MLflow does not answer.
    """
    try:
        tracking.run_file(run_id, REPORT_FILE)
    except IntegrityError:
        return None
    place = f"{tracking.run_place(run_id)}/{REPORT_FILE}"
    return str(local_path(place) or place)
