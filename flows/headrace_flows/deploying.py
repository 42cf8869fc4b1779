"""Deployments on a Prefect server: made as they are wanted, and started by hand."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from headrace.errors import UsageError
from headrace.pipeline import load_spec
from headrace.pipeline.deploy import FlowSpec
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.packing import unpack_folder
from headrace_flows.deployments import WantedDeployment, owner_tags
from headrace_flows.events import resource_of
from headrace_flows.parameters import find_flow
from headrace_ops.worker import ensure_pool

_STRATEGY = {"wait": "ENQUEUE", "refuse": "CANCEL_NEW"}
_OF_PRESET = ("model=", "model.arguments=", "model.arguments.preset=")

log = logging.getLogger("headrace")


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done with a deployment on the server; ``id`` is Prefect's."""

    name: str
    state: Literal["created", "updated", "unchanged", "removed"]
    id: str
    wanted: WantedDeployment | None


def apply(
    client: Any,
    wanted: Sequence[WantedDeployment],
    owner: list[str],
    pipelines: Collection[str] | None,
) -> list[Applied]:
    """Create, update and delete deployments, so that a server has the wanted ones.

    Args:
        client: of the server.
        wanted: the deployments that there should be.
        owner: the tags of those that are ours to remove.
        pipelines: the pipelines whose other deployments are removed; None: all.

    Raises:
        UsageError: there is one of a wanted name that is not ours.
    """
    pairs = [(one, _find(client, one, owner)) for one in wanted]
    for pool in sorted({(one.table.pool, one.table.queue) for one in wanted}):
        ensure_pool(client, *pool)
    applied = [_apply_one(client, one, old) for one, old in pairs]
    names = {one.name for one in wanted}
    for name, old in find_deployments(client, owner).items():
        if name not in names and (pipelines is None or old.name in pipelines):
            client.delete_resource_owned_automations(f"prefect.deployment.{old.id}")
            client.delete_deployment(old.id)  # with the runs that wait
            applied.append(Applied(name, "removed", str(old.id), None))
    return applied


def find_deployments(client: Any, tags: list[str]) -> dict[str, Any]:
    """The deployments that have all of the tags, by full name."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    deployments: list[Any] = []
    filters = DeploymentFilter(tags=DeploymentFilterTags(all_=tags))
    while page := client.read_deployments(
        deployment_filter=filters, limit=200, offset=len(deployments)
    ):
        deployments += page
    return {
        f"{client.read_flow(deployment.flow_id).name}/{deployment.name}": deployment
        for deployment in deployments
    }


def nightly(client: Any, owner: list[str]) -> list[WantedDeployment]:
    """What verifies the home each night at three (UTC); empty if it cannot be made."""
    about = "Restores what champions have lost, and verifies everything."
    table = FlowSpec(cron="0 3 * * *")
    wanted = WantedDeployment("verify", "nightly", about, table, (*owner,))
    try:
        _find(client, wanted, owner)
    except UsageError as error:
        text = "Schedule `headrace verify --repair` by other means."
        log.warning("%s %s", error.message, text)
        return []
    return [wanted]


def _find(client: Any, wanted: WantedDeployment, owner: list[str]) -> Any:
    """The deployment that has a wanted one's name, or None; it must be ours."""
    from prefect.exceptions import ObjectNotFound

    try:
        old = client.read_deployment_by_name(wanted.name)
    except ObjectNotFound:
        return None
    if not set(owner) <= set(old.tags):
        tags = ", ".join(sorted(old.tags)) or "none"
        raise UsageError(
            f"The Prefect server has a deployment {wanted.name} that is not of this "
            f"project and ledger ({', '.join(owner)}): its tags are {tags}.",
            f"Give the pipeline another name, or delete it: "
            f"prefect deployment delete {wanted.name}",
        )
    return old


def _apply_one(client: Any, wanted: WantedDeployment, old: Any) -> Applied:
    body = _body(wanted)
    # Prefect shows it as the version, and has no other way to compare deployments.
    text = json.dumps(body, default=lambda value: value.model_dump(mode="json"))
    body["version"] = hashlib.sha256(text.encode()).hexdigest()[:12]
    if old and old.version == body["version"]:
        identity, state = old.id, "unchanged"
    else:
        flow = client.create_flow_from_name(wanted.flow)
        identity = client.create_deployment(flow_id=flow, **body)
        state = "created" if old is None else "updated"
    _apply_automation(client, wanted, identity)
    return Applied(wanted.name, state, str(identity), wanted)  # type: ignore[arg-type]


def _body(wanted: WantedDeployment) -> dict[str, Any]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyOptions
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.utilities.callables import parameter_schema

    schema, table = parameter_schema(find_flow(wanted.flow)), wanted.table
    schedules = []
    if table.cron:
        cron = CronSchedule(cron=table.cron, timezone=table.timezone)
        schedules = [DeploymentScheduleCreate(schedule=cron, active=not table.paused)]
    strategy = {"collision_strategy": _STRATEGY[table.when_busy]}
    options = ConcurrencyOptions.model_validate(strategy)
    return {
        "name": wanted.pipeline,
        "description": wanted.description,
        "tags": list(wanted.tags),
        "entrypoint": wanted.entrypoint,
        "pull_steps": [],
        "parameters": wanted.parameters,
        "parameter_openapi_schema": schema.model_dump(exclude_unset=True),
        "enforce_parameter_schema": True,
        "work_pool_name": table.pool,
        "work_queue_name": table.queue,
        "concurrency_limit": wanted.concurrency,
        "concurrency_options": options if wanted.concurrency else None,
        "schedules": schedules,
    }


def _apply_automation(client: Any, wanted: WantedDeployment, deployment: UUID) -> None:
    """Create, change or delete the automation by which events start a deployment.

    One that is as it should be stays, so that its cool-down goes on. A reactive trigger
    fires at the first event and then not before ``within`` is over, however many events
    there are; Prefect keeps that in its database.
    """
    from prefect.events import EventTrigger
    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import AutomationCore, Posture

    name = f"{wanted.name} on events"
    trigger = EventTrigger(
        expect=set(wanted.events),
        match={"prefect.resource.id": resource_of(wanted.pipeline)},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(minutes=wanted.table.cooldown_minutes),
    )
    for old in client.read_automations_by_name(name):
        starts = [getattr(action, "deployment_id", None) for action in old.actions]
        is_like = (old.trigger.expect, old.trigger.within, starts) == (
            trigger.expect,
            trigger.within,
            [deployment],  # which can be a new one of the same name
        )
        if wanted.events and is_like:
            return
        client.delete_automation(old.id)
    if not wanted.events:
        return
    action = {"source": "selected", "deployment_id": deployment}
    client.create_automation(
        AutomationCore(
            name=name,
            description=f"Runs {wanted.name} on {' or '.join(wanted.events)}.",
            trigger=trigger,
            actions=[RunDeployment.model_validate(action)],
            owner_resource=f"prefect.deployment.{deployment}",
        )
    )


class Started(Record):
    """A run of a deployment that was started by hand.

    Attributes:
        run: its name in Prefect.
        link: to its page.
        overrides: the fields of the law that it overrides, which make it an experiment.
    """

    pipeline: str
    status: Literal["started"] = "started"
    reason: str
    run: str
    flow_run_id: str
    link: str
    experiment: bool
    overrides: tuple[str, ...]


def start(
    server: tuple[Any, str],
    pipeline: str,
    overrides: tuple[str, ...],
    settings: Settings,
) -> Started:
    """Start a run of the train flow, with the pipeline file as it was deployed.

    Args:
        server: a client of it, and the URL of its pages.
        pipeline: its name.
        overrides: as given with ``--set``.
        settings: where store and ledger are.

    Raises:
        UsageError: it is not deployed, or an override does not fit its file.
        DependencyError: the store or the ledger does not answer.
    """
    client, url = server
    name = f"train/{pipeline}"
    deployment = find_deployments(client, owner_tags(settings)).get(name)
    if deployment is None:
        raise UsageError(
            f"{name}: the pipeline {pipeline} of this project is not deployed.",
            f"Run `headrace deploy {pipeline}`.",
        )
    deployed = deployment.parameters
    parameters: dict[str, Any] = {}
    fields: tuple[str, ...] = ()
    if overrides:
        from headrace.planning import Plan

        digest = str(deployed["folder"]).removeprefix("sha256:")
        folder = unpack_folder(digest, Home(settings).store, settings.folders)
        source = f"data.source={json.dumps(deployed['pipeline']['data']['source'])}"
        fixed = [source]
        backbone = deployed["pipeline"]["model"].get("backbone")
        names_another = any(one.startswith(_OF_PRESET) for one in overrides)
        if backbone and not names_another:
            fixed.append(f"model.backbone={backbone}")
        spec = load_spec(folder, (*fixed, *overrides), name=pipeline)
        if names_another:
            from headrace.use.backbones import pinned

            spec = pinned(spec, Home(settings))
        parameters = {"pipeline": spec.model_dump(mode="json")}
        fields = Plan(spec, folder, Home(settings)).law.overrides
    run = client.create_flow_run_from_deployment(
        deployment.id, parameters=parameters, name=pipeline
    )
    name = str(deployment.work_pool_name)
    reason = f"a worker of pool {name} runs it"
    status = client.read_work_pool(name).status
    if status is not None and status.value != "READY":
        reason = (
            f"no worker of pool {name} is there: it waits for `headrace up` or "
            f"`headrace worker --pool {name}`"
        )
    return Started(
        pipeline=pipeline,
        reason=reason,
        run=run.name,
        flow_run_id=str(run.id),
        link=f"{url}/runs/flow-run/{run.id}",
        experiment=bool(fields),
        overrides=fields,
    )
