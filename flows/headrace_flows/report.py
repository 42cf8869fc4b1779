"""The page of a run in Prefect: its outcome, its gates, its pictures, and MLflow."""

from __future__ import annotations

import base64
import json
import logging
import re
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate

from headrace.errors import HeadraceError, IntegrityError
from headrace_flows.run import Run
from headrace_flows.summary import mlflow_url, page_links

PICTURES = ("confusion", "curves", "mistakes")
LARGEST_PICTURE = 500_000  # bytes; a larger one is only in MLflow
log = logging.getLogger("headrace")


def publish_report(run: Run) -> None:
    """Attach report, gates and pictures to the run's page, as far as it has come.

    What stands in the way is logged: the run is not worse for it.
    """
    try:
        _publish(run)
    except Exception as error:  # of Prefect's client and all below it
        log.warning("the run's page has no report: %s: %s", type(error).__name__, error)


def _publish(run: Run) -> None:
    found = [_artifact(run, "report", "markdown", _markdown(run))]
    if run.evaluation is not None:
        rows = [gate.model_dump() for gate in run.evaluation.gates]
        found.append(_artifact(run, "gates", "table", json.dumps(rows)))
        found += [
            _artifact(run, name, "image", f"data:image/png;base64,{data}")
            for name, data in _pictures(run).items()
        ]
    with get_client(sync_client=True) as client:
        for artifact in found:
            client.create_artifact(artifact)


def _artifact(run: Run, name: str, kind: str, data: str) -> ArtifactCreate:
    values: dict[str, Any] = {
        "key": re.sub("[^a-z0-9]+", "-", f"{run.spec.name}-{name}".lower()).strip("-"),
        "type": kind,
        "description": run.spec.description if name == "report" else name,
        "data": data,
        "flow_run_id": run.flow_run_id,
    }
    return ArtifactCreate.model_validate(values)


def _pictures(run: Run) -> dict[str, str]:
    """PNG files of the MLflow run, base64: the page shows them without MLflow."""
    from headrace.state.tracking import Tracking

    found: dict[str, str] = {}
    if run.training is None:
        return found
    tracking = Tracking(run.plan.settings)
    for name in PICTURES:
        try:
            data = tracking.run_file(run.training.run_id, f"pictures/{name}.png")
        except IntegrityError:  # a model that makes no mistakes has no picture of them
            continue
        except HeadraceError as error:
            log.warning("the run's page has not all of its pictures: %s", error)
            break
        if len(data) <= LARGEST_PICTURE:
            found[name] = base64.b64encode(data).decode()
    return found


def _markdown(run: Run) -> str:
    promotion, evaluation = run.promotion, run.evaluation
    version = run.registration.version if run.registration else None
    lines = [f"# {run.spec.name}" + (f", version {version}" if version else "")]
    if promotion is not None:
        lines += ["", f"**{promotion.status}**: {promotion.reason}"]
    if evaluation is not None:
        lines += ["", "| gate | | value | bound | |", "| --- | --- | --- | --- | --- |"]
        lines += [
            f"| {g.name} | {'passed' if g.passed else '**failed**'} | "
            f"{_number(g.value)} | {_number(g.threshold)} | {g.reason} |"
            for g in evaluation.gates
        ]
        lines += ["", "| metric | value |", "| --- | --- |"]
        lines += [f"| {k} | {_number(v)} |" for k, v in evaluation.metrics.items()]
    settings = run.plan.settings
    pages = page_links(run)
    if version:
        model = f"{mlflow_url(settings)}/#/models/{run.spec.name}/versions/{version}"
        pages["model"] = model
    return "\n".join([*lines, "", *(f"- {n}: <{url}>" for n, url in pages.items())])


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
