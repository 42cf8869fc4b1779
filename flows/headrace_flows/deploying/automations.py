"""A deployment that events start: one Prefect automation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from headrace_flows.deploying.wanted import Wanted
from headrace_flows.events import resource_of


def apply_automation(client: Any, wanted: Wanted, deployment: UUID) -> None:
    """Make, change or remove the automation of a deployment.

    One that is as it should be is left alone, so that a cool-down goes on. A reactive
    trigger fires at the first event and then not before ``within`` is over, however
    many events there are; Prefect keeps that in its database.
    """
    found = client.read_automations_by_name(_name(wanted))
    trigger = _trigger(wanted) if wanted.events else None
    for old in found:
        if trigger is not None and _same(old, trigger, deployment):
            return
        client.delete_automation(old.id)
    if trigger is None:
        return
    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import AutomationCore

    client.create_automation(
        AutomationCore(
            name=_name(wanted),
            description=f"Runs {wanted.name} on {' or '.join(wanted.events)}.",
            trigger=trigger,
            actions=[
                RunDeployment.model_validate(
                    {"source": "selected", "deployment_id": deployment}
                )
            ],
            owner_resource=f"prefect.deployment.{deployment}",
        )
    )


def _name(wanted: Wanted) -> str:
    return f"{wanted.name} on events"


def _trigger(wanted: Wanted) -> Any:
    from prefect.events import EventTrigger
    from prefect.events.schemas.automations import Posture

    return EventTrigger(
        expect=set(wanted.events),
        match={"prefect.resource.id": resource_of(wanted.pipeline)},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(minutes=wanted.cooldown_minutes),
    )


def _same(old: Any, trigger: Any, deployment: UUID) -> bool:
    """Whether an automation starts this deployment, which can be a new one, like so."""
    starts = [getattr(action, "deployment_id", None) for action in old.actions]
    is_like = old.trigger.expect == trigger.expect
    return is_like and old.trigger.within == trigger.within and starts == [deployment]
