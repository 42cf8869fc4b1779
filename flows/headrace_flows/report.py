"""The pages of a run: its name and its report in Prefect, and its report in MLflow."""

from __future__ import annotations

import logging
import re
from typing import Any
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from headrace.evidence.reporting import contents, log_report
from headrace.pages import render
from headrace_flows.run import Run
from headrace_flows.summary import links

log = logging.getLogger("headrace")


def attach(name: str, description: str, text: str, flow_run_id: str) -> None:
    """Attach a page in Markdown to a flow run; raises errors of Prefect's client."""
    values: dict[str, Any] = {
        "key": re.sub("[^a-z0-9]+", "-", name.lower()),
        "type": "markdown",
        "description": description,
        "data": text,
        "flow_run_id": flow_run_id,
    }
    with get_client(sync_client=True) as client:
        client.create_artifact(ArtifactCreate.model_validate(values))


def publish_name(run: Run) -> None:
    """Name the run in Prefect by what it overrides, and by its version if it has one.

    An error is only logged, since the run does not depend on its name.
    """
    name = f"{run.title}, version {run.version}" if run.version else run.title
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(run.flow_run_id), name=name)
    except Exception as error:  # of Prefect's client and all below it
        log.warning("the run has no name: %s: %s", type(error).__name__, error)


def publish_report(run: Run) -> None:
    """Attach the report to the run's page in Prefect, as far as the run has come.

    The report of a complete run is logged in MLflow too. An error is only logged, since
    the run does not depend on its report.
    """
    try:
        shown = contents(run, links(run, for_page=True), run.plan.home)
        if run.promotion is not None and run.training is not None:
            log_report(run.training.run_id, shown, run.plan.home)
        page = render("report.md", **shown)
        name = f"{run.spec.name}-report"
        attach(name, run.spec.description, page, run.flow_run_id)
    except Exception as error:  # of MLflow, the templates, Prefect and all below them
        log.warning("the run's page has no report: %s: %s", type(error).__name__, error)
        return
    publish_name(run)
