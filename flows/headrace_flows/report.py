"""The pages of a run: its name and report in Prefect, its report in MLflow."""

from __future__ import annotations

import logging
import re
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from headrace.pages import render
from headrace.state.tracking import Tracking
from headrace.use.reporting import Outcome, contents, log_report
from headrace_flows.run import Run
from headrace_flows.summary import mlflow_page, page_links

log = logging.getLogger("headrace")


def publish_name(run: Run) -> None:
    """Name the run in Prefect by what it overrides, and by its version if it has one.

    What stands in the way is logged: the run is not worse for it.
    """
    version = run.registration.version if run.registration else None
    name = f"{run.title}, version {version}" if version else run.title
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(run.flow_run_id), name=name)
    except Exception as error:  # of Prefect's client and all below it
        log.warning("the run has no name: %s: %s", type(error).__name__, error)


def publish_report(run: Run) -> None:
    """Attach the report to the run's page in Prefect, as far as the run has come.

    Of a run that came to its end MLflow has a page too. What stands in the way is
    logged: the run is not worse for it.
    """
    try:
        settings = run.plan.settings
        shown = contents(_outcome(run), settings, run.plan.ledger)
        if run.promotion is not None and run.training is not None:
            log_report(run.training.run_id, shown, Tracking(settings))
        values: dict[str, Any] = {
            "key": re.sub("[^a-z0-9]+", "-", f"{run.spec.name}-report".lower()),
            "type": "markdown",
            "description": run.spec.description,
            "data": render("report.md", **shown),
            "flow_run_id": run.flow_run_id,
        }
        with get_client(sync_client=True) as client:
            client.create_artifact(ArtifactCreate.model_validate(values))
    except Exception as error:  # of MLflow, the templates, Prefect and all below them
        log.warning("the run's page has no report: %s: %s", type(error).__name__, error)
        return
    publish_name(run)


def _outcome(run: Run) -> Outcome:
    version = run.registration.version if run.registration else None
    links = page_links(run)
    if version:
        place = f"models/{run.spec.name}/versions/{version}"
        links["model"] = mlflow_page(run.plan.settings, place)
    return Outcome(
        spec=run.spec,
        stages=run.reports,
        snapshot=run.snapshot,
        contract=run.contract,
        training=run.training,
        evaluation=run.evaluation,
        promotion=run.promotion,
        version=version,
        overrides=run.plan.law.overrides,
        links=links,
    )
