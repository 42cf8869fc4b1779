"""Notifications for people, by Prefect's automations and notification blocks.

``HEADRACE_NOTIFY`` names a saved notification block, such as ``slack-webhook/team``.
Flows and commands emit ``headrace.*`` events. Automations on the server send them, and
failures of deployed runs, through the block. So the server also reports runs whose
process is gone. Importing this module does not import Prefect.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, get_args

from headrace.errors import HeadraceError, UsageError
from headrace_flows.events import resource_of

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

    from headrace.settings import Settings

LEDGER = "headrace.ledger"  # the label with the ledger of an event
Kind = Literal["approval", "drift", "lost", "refused", "rollback"]
EVENTS = get_args(Kind)
SEND_LIMIT_SECONDS = 10
log = logging.getLogger("headrace")


def emit(
    settings: Settings, kind: Kind, model: str, message: str, **details: Any
) -> None:
    """Emit a ``headrace.<kind>`` event about a model of the settings' ledger."""
    from prefect.events import emit_event

    emit_event(
        f"headrace.{kind}",
        resource={
            "prefect.resource.id": resource_of(model),
            "prefect.resource.name": model,
            LEDGER: _ledger_tag(settings),
        },
        payload={"message": message, **details},
    )


def emit_from_command(
    settings: Settings, kind: Kind, model: str, message: str, **details: Any
) -> None:
    """Emit an event outside of a flow, if there is a server. A failure is only logged.

    The command has done its work, and does not fail because nobody can be notified.
    """
    if not has_server(settings):
        return
    from headrace_flows.client import connect

    try:
        with connect(settings):
            from prefect.events.worker import EventsWorker

            emit(settings, kind, model, message, **details)
            EventsWorker.drain_all(timeout=SEND_LIMIT_SECONDS)
    except HeadraceError as error:
        log.warning("no notification of the %s of %s was sent: %s", kind, model, error)


def has_server(settings: Settings) -> bool:
    """Whether there is a permanent Prefect server, configured or the home's."""
    from headrace_ops.live import lasting_api_url

    return bool(lasting_api_url(settings))


def ensure(client: SyncPrefectClient, settings: Settings) -> str:
    """Create the automations for the block in the settings, or delete them.

    Those of other ledgers on the server are not changed.

    Returns:
        the block, empty if there are no notifications.

    Raises:
        UsageError: there is no such block.
    """
    ledger = _ledger_tag(settings)
    names = _failures(ledger), _events(ledger)
    wanted = _automations(client, settings.notify, ledger) if settings.notify else {}
    for name in names:
        known = client.read_automations_by_name(name)
        for automation in known[1 if name in wanted else 0 :]:
            client.delete_automation(automation.id)
        if name in wanted and known:
            client.update_automation(known[0].id, wanted[name])
        elif name in wanted:
            client.create_automation(wanted[name])
    return settings.notify


def _ledger_tag(settings: Settings) -> str:
    """The name of the ledger, which is also a tag of its runs."""
    from headrace_flows import recovery

    return recovery.tags(settings)[0]


def _failures(ledger: str) -> str:
    return f"{ledger}: failed and crashed runs"


def _events(ledger: str) -> str:
    return f"{ledger}: approval, refusal, rollback and drift"


def _automations(
    client: SyncPrefectClient, block: str, ledger: str
) -> dict[str, AutomationCore]:
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger

    block_id = _find_block(client, block)

    def automation(
        name: str, subject: str, body: str, expect: set[str], **match: dict[str, Any]
    ) -> AutomationCore:
        # An update omits fields that are not set, so the posture is set.
        trigger = EventTrigger.model_validate(
            {"posture": "Reactive", "expect": expect, **match}
        )
        action = SendNotification(
            block_document_id=block_id, subject=f"Headrace: {subject}", body=body
        )
        text = "Made by Headrace from HEADRACE_NOTIFY."
        return AutomationCore(
            name=name, description=text, trigger=trigger, actions=[action]
        )

    tag = {"prefect.resource.id": f"prefect.tag.{ledger}"}
    failures = automation(
        _failures(ledger),
        "{{ event.resource['prefect.resource.name'] }}: "
        "{{ event.resource['prefect.state-name'] }}",
        "{{ event.resource['prefect.state-message'] }}\n{{ flow_run | ui_url }}",
        {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={**tag, "prefect.resource.role": "tag"},
    )
    events = automation(
        _events(ledger),
        "{{ event.resource.name }}: {{ event.event }}",
        "{{ event.payload.message }}\n{{ event.payload.page }}",
        {f"headrace.{kind}" for kind in EVENTS},
        match={"prefect.resource.id": resource_of("*"), LEDGER: ledger},
    )
    return {failures.name: failures, events.name: events}


def _find_block(client: SyncPrefectClient, block: str) -> Any:
    from prefect.exceptions import ObjectNotFound

    slug, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, slug, False).id
    except ObjectNotFound:
        raise UsageError(
            f"HEADRACE_NOTIFY is {block!r}, and the Prefect server has no such block.",
            "Name a saved notification block as TYPE/NAME, such as "
            "slack-webhook/team; `prefect block ls` shows them.",
        ) from None
