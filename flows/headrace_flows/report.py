"""The pages of a run: its name and its report in Prefect, and its report in MLflow."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter

from headrace.display.pages import render
from headrace.errors import HeadraceError
from headrace.evidence.report_files import log_report
from headrace.evidence.reporting import contents
from headrace.state.home import Home
from headrace.state.ledger.facts import Refused, refusal_of
from headrace_flows.run import Run
from headrace_flows.summary import links

_NOT_YET = "The report comes when the run ends, or when it waits for an approval.\n"
log = logging.getLogger("headrace")


def key_of(name: str) -> str:
    """The key of a page in Prefect."""
    return re.sub("[^a-z0-9]+", "-", name.lower())


def attach(name: str, description: str, text: str, flow_run_id: str) -> str:
    """Attach a page in Markdown to a flow run, in place of one with the same name.

    Returns:
        its id in Prefect.

    Raises:
        errors of Prefect's client.
    """
    key = key_of(name)
    own = {"key": {"any_": [key]}, "flow_run_id": {"any_": [flow_run_id]}}
    values: dict[str, Any] = {"description": description, "data": text}
    with get_client(sync_client=True) as client:
        wanted = ArtifactFilter.model_validate(own)
        for present in client.read_artifacts(artifact_filter=wanted):
            client.update_artifact(present.id, ArtifactUpdate.model_validate(values))
            return str(present.id)
        values |= {"key": key, "type": "markdown", "flow_run_id": flow_run_id}
        created = client.create_artifact(ArtifactCreate.model_validate(values))
    return str(created.id)


@contextlib.contextmanager
def _only_logged(what: str) -> Iterator[None]:
    """Log an error of the block as a warning: a run does not depend on its pages."""
    try:
        yield
    except Exception as error:  # of MLflow, the templates, Prefect and all below them
        log.warning("%s: %s: %s", what, type(error).__name__, error)


def begin_report(run: Run) -> None:
    """Attach the report to the run's page in Prefect before it is known, and link it.

    An error is only logged.
    """
    name = f"{run.spec.name}-report"
    with _only_logged("the run has no report"):
        number = attach(name, run.spec.description, _NOT_YET, run.flow_run_id)
        place = f"the artifact {key_of(name)}"
        if run.ui_url:
            place = f"{run.ui_url}/artifacts/artifact/{number}"
        get_run_logger().info("The report of this run: %s", place)


def publish_name(run: Run) -> None:
    """Name the run in Prefect by what it overrides, and by its version if it has one.

    An error is only logged.
    """
    name = f"{run.title}, version {run.version}" if run.version else run.title
    with _only_logged("the run has no name"), get_client(sync_client=True) as client:
        client.update_flow_run(UUID(run.flow_run_id), name=name)


def publish_report(run: Run) -> None:
    """Attach the report to the run's page in Prefect, as far as the run has come.

    The report of a complete run is logged in MLflow too. An error is only logged.
    """
    with _only_logged("the run's page has no report"):
        shown = contents(run, links(run, for_page=True), run.plan.home)
        if run.promotion is not None and run.training is not None:
            log_report(run.training.run_id, shown, run.plan.home)
            run.has_report = True
        page = render("report.md", **shown)
        name = f"{run.spec.name}-report"
        attach(name, run.spec.description, page, run.flow_run_id)
        publish_name(run)


def note_refusal(run: Run, reason: str) -> None:
    """Record a refusal for `headrace list` and its page; an error is only logged."""
    refused = Refused(
        flow_run_id=run.flow_run_id,
        run_id=run.training.run_id if run.training and run.has_report else "",
        reason=reason.partition("\n")[0],
    )
    settings = run.plan.settings
    fact = {refusal_of(run.spec.name): refused.model_dump_json()}
    try:
        Home(settings).ledger.facts.record(fact, settings.user)
    except HeadraceError as error:
        log.warning("the refusal was not recorded: %s", error)
