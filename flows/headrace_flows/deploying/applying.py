"""Deployments, pools and queues made on a Prefect server."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from headrace.errors import UsageError
from headrace_flows.deploying.wanted import Wanted, find_flow
from headrace_ops.pools import ensure_pool

_STRATEGY = {"wait": "ENQUEUE", "refuse": "CANCEL_NEW"}


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a deployment on the server; ``id`` is Prefect's."""

    name: str
    state: Literal["created", "updated", "unchanged", "removed"]
    id: str
    wanted: Wanted | None


def apply(
    client: Any,
    wanted: Sequence[Wanted],
    owner: list[str],
    pipelines: Iterable[str] | None,
) -> list[Applied]:
    """Make a server's deployments the wanted ones.

    Args:
        client: of the server.
        wanted: what there should be.
        owner: the tags of those that are ours to remove.
        pipelines: only theirs are removed where they are not wanted; None: all.

    Raises:
        UsageError: there is one of a wanted name that is not ours.
    """
    known = [_find(client, one, owner) for one in wanted]
    for pool in sorted({(w.pool, w.queue) for w in wanted}):
        ensure_pool(client, *pool)
    applied = [
        _apply_one(client, one, old) for one, old in zip(wanted, known, strict=True)
    ]
    names = {one.name for one in wanted}
    ours = set(pipelines) if pipelines is not None else None
    for name, old in find_deployments(client, owner).items():
        if name not in names and (ours is None or old.name in ours):
            remove(client, old)
            applied.append(Applied(name, "removed", str(old.id), None))
    return applied


def find_deployments(client: Any, tags: list[str]) -> dict[str, Any]:
    """Those that have all of the tags, by full name."""
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags

    found = {}
    filters = DeploymentFilter(tags=DeploymentFilterTags(all_=tags))
    offset = 0
    while page := client.read_deployments(
        deployment_filter=filters, limit=200, offset=offset
    ):
        offset += len(page)
        for deployment in page:
            flow = client.read_flow(deployment.flow_id)
            found[f"{flow.name}/{deployment.name}"] = deployment
    return found


def remove(client: Any, deployment: Any) -> None:
    """Delete a deployment with its automations and the runs that wait."""
    client.delete_resource_owned_automations(f"prefect.deployment.{deployment.id}")
    client.delete_deployment(deployment.id)


def _find(client: Any, wanted: Wanted, owner: list[str]) -> Any:
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


def _apply_one(client: Any, wanted: Wanted, old: Any) -> Applied:
    body = _body(wanted)
    if old is not None and _facts(old) == _wanted_facts(wanted, body):
        identity, state = old.id, "unchanged"
    else:
        started = datetime.now(UTC)
        flow = client.create_flow_from_name(wanted.flow)
        identity = client.create_deployment(flow_id=flow, **body)
        if wanted.cron and not wanted.paused:
            # What was due in the moment of the change was deleted, and would be lost.
            client.request(
                "POST",
                "/deployments/{id}/schedule",
                path_params={"id": identity},
                json={"start_time": started.isoformat()},
            )
        state = "created" if old is None else "updated"
    from headrace_flows.deploying.automations import apply_automation

    apply_automation(client, wanted, identity)
    return Applied(wanted.name, state, str(identity), wanted)  # type: ignore[arg-type]


def _body(wanted: Wanted) -> dict[str, Any]:
    from prefect.client.schemas.actions import DeploymentScheduleCreate
    from prefect.client.schemas.objects import ConcurrencyOptions
    from prefect.client.schemas.schedules import CronSchedule
    from prefect.utilities.callables import parameter_schema

    return {
        "name": wanted.pipeline,
        "description": wanted.description,
        "tags": list(wanted.tags),
        "entrypoint": wanted.entrypoint,
        "pull_steps": [],
        "parameters": wanted.parameters,
        "parameter_openapi_schema": parameter_schema(find_flow(wanted.flow)).model_dump(
            exclude_unset=True
        ),
        "enforce_parameter_schema": True,
        "work_pool_name": wanted.pool,
        "work_queue_name": wanted.queue,
        "concurrency_limit": wanted.concurrency,
        "concurrency_options": ConcurrencyOptions.model_validate(
            {"collision_strategy": _STRATEGY[wanted.when_busy]}
        )
        if wanted.concurrency is not None
        else None,
        "schedules": [
            DeploymentScheduleCreate(
                schedule=CronSchedule(cron=wanted.cron, timezone=wanted.timezone),
                active=not wanted.paused,
            )
        ]
        if wanted.cron
        else [],
    }


def _wanted_facts(wanted: Wanted, body: dict[str, Any]) -> dict[str, Any]:
    facts = {
        "description": wanted.description,
        "tags": sorted(wanted.tags),
        "entrypoint": wanted.entrypoint,
        "parameters": wanted.parameters,
        "schema": body["parameter_openapi_schema"],
        "enforced": True,
        "pool": wanted.pool,
        "queue": wanted.queue,
        "concurrency": wanted.concurrency,
        "strategy": None if wanted.concurrency is None else _STRATEGY[wanted.when_busy],
        "schedules": [[wanted.cron, wanted.timezone, not wanted.paused]]
        if wanted.cron
        else [],
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def _facts(old: Any) -> dict[str, Any]:
    limit, options = old.global_concurrency_limit, old.concurrency_options
    facts = {
        "description": old.description,
        "tags": sorted(old.tags),
        "entrypoint": old.entrypoint,
        "parameters": old.parameters,
        "schema": old.parameter_openapi_schema,
        "enforced": old.enforce_parameter_schema,
        "pool": old.work_pool_name,
        "queue": old.work_queue_name,
        "concurrency": limit.limit if limit is not None else None,
        "strategy": options.collision_strategy.value if options is not None else None,
        "schedules": [
            [
                getattr(one.schedule, "cron", ""),
                getattr(one.schedule, "timezone", ""),
                one.active,
            ]
            for one in old.schedules
        ],
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return plain
