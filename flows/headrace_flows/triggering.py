"""A run of a pipeline's deployment, started by hand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.spec import load_spec
from headrace.spec.law import read_law
from headrace.state.store import Store, unpack_folder
from headrace_flows.deploying.applying import find_deployments
from headrace_flows.deploying.wanted import owner_tags


@dataclass(frozen=True, slots=True)
class Triggered:
    """A run that was asked for.

    Attributes:
        run: Prefect's record of it.
        pool: whose workers run it.
        has_worker: whether one of them is there now.
        overrides: the fields of the law that it overrides: it is an experiment.
    """

    run: Any
    pool: str
    has_worker: bool
    overrides: tuple[str, ...]


def trigger(
    client: Any,
    pipeline: str,
    overrides: tuple[str, ...],
    settings: Settings,
    flow: str = "train",
) -> Triggered:
    """Start a run of a deployment: of the pipeline file as it was deployed.

    Args:
        client: of the server.
        pipeline: its name.
        overrides: as given with ``--set``.
        settings: where store and ledger are.
        flow: that is deployed for the pipeline.

    Raises:
        UsageError: it is not deployed, or an override does not fit its file.
        DependencyError: the store or the ledger does not answer.
    """
    name = f"{flow}/{pipeline}"
    deployment = find_deployments(client, owner_tags(settings)).get(name)
    if deployment is None:
        table = "" if flow == "train" else f" with a table [deploy.flows.{flow}]"
        raise UsageError(
            f"{name}: the pipeline {pipeline} of this project is not deployed{table}.",
            f"Run `headrace deploy {pipeline}`.",
        )
    if overrides and "pipeline" not in deployment.parameters:
        raise UsageError(
            f"The flow {flow} does not take a pipeline, so --set changes nothing.",
            f"Set its parameters in the table [deploy.flows.{flow}].",
        )
    parameters, fields = _overridden(
        deployment.parameters, pipeline, overrides, settings
    )
    run = client.create_flow_run_from_deployment(
        deployment.id, parameters=parameters, name=pipeline
    )
    pool = str(deployment.work_pool_name)
    status = client.read_work_pool(pool).status
    return Triggered(run, pool, status is None or status.value == "READY", fields)


def _overridden(
    deployed: dict[str, Any],
    pipeline: str,
    overrides: tuple[str, ...],
    settings: Settings,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What a run has of its own beside the deployment's parameters."""
    if not overrides:
        return {}, ()
    digest = str(deployed["folder"]).removeprefix("sha256:")
    folder = unpack_folder(digest, Store(settings.store), settings.folders)
    source = f"data.source={json.dumps(deployed['pipeline']['data']['source'])}"
    spec = load_spec(folder, (source, *overrides), name=pipeline)
    law = read_law(spec, folder, settings.project, settings.folders)
    return {"pipeline": spec.model_dump(mode="json")}, law.overrides
