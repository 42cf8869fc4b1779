"""The events that flows and commands emit, and the notifications about them.

``headrace.drift`` and ``headrace.snapshot`` can start deployments. Anyone can emit
``headrace.drift``: with `prefect.events.emit_event`, an automation or a webhook. Its
resource is ``headrace.pipeline.<name>``.

People are notified of the other events and of failures of deployed runs by automations
on the server, so also of runs whose process is gone. ``HEADRACE_NOTIFY`` names the
notification block for this, such as ``slack-webhook/team``. Importing this module does
not import Prefect.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID

from headrace.errors import HeadraceError, UsageError
from headrace.records import SnapshotRecord
from headrace.state.ledger.leases import Leases
from headrace_ops.live import lasting_api_url

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.events.schemas.automations import AutomationCore

    from headrace.monitoring.records import MonitorRecord
    from headrace.settings import Settings
    from headrace_flows.run import Run

DRIFT = "headrace.drift"
SNAPSHOT = "headrace.snapshot"
LEDGER = "headrace.ledger"  # the label with the ledger of an event
Kind = Literal["approval", "drift", "lost", "refused", "rollback", "tampered"]
EVENTS = get_args(Kind)
SEND_LIMIT_SECONDS = 10
_AUTOMATIONS = ("failed and crashed runs", "approval, refusal, rollback and drift")
log = logging.getLogger("headrace")


def resource_of(pipeline: str) -> str:
    """The resource of a pipeline's events."""
    return f"headrace.pipeline.{pipeline}"


def ledger_tag(settings: Settings, leases: Leases | None = None) -> str:
    """The name of the ledger, which its flow runs and deployments have as a tag.

    Args:
        leases: of the ledger, if it is open already.

    Raises:
        DependencyError: the ledger's database does not answer.
    """
    return f"headrace-{(leases or Leases(settings.database_url)).identity()}"


def _emit(event: str, pipeline: str, payload: dict[str, Any], **labels: str) -> None:
    from prefect.events import emit_event

    resource = {
        "prefect.resource.id": resource_of(pipeline),
        "prefect.resource.name": pipeline,
        **labels,
    }
    emit_event(event, resource=resource, payload=payload)


def emit_snapshot(run: Run, snapshot: SnapshotRecord, before: str) -> None:
    """Emit ``headrace.snapshot`` if the snapshot is new.

    A run of the pipeline's own deployment emits nothing: it trains on the snapshot.

    Args:
        before: the digest of the pipeline's previous snapshot; empty if it had none.
    """
    import httpx
    from prefect.runtime import deployment

    if snapshot.digest == before:
        return
    try:
        if deployment.get_name() == run.spec.name:
            return
    except httpx.HTTPError as error:  # without the server, nothing listens
        log.warning("no event for the new snapshot was sent: %s", error)
        return
    payload = {"digest": snapshot.digest, "rows": snapshot.rows}
    _emit(SNAPSHOT, run.spec.name, payload)


def emit(
    settings: Settings, kind: Kind, model: str, message: str, **details: Any
) -> None:
    """Emit a ``headrace.<kind>`` event about a model of the settings' ledger."""
    payload = {"message": message, **details}
    _emit(f"headrace.{kind}", model, payload, **{LEDGER: ledger_tag(settings)})


def emit_from_command(
    settings: Settings, kind: Kind, model: str, message: str, **details: Any
) -> bool:
    """Emit an event outside of a flow, if there is a server. A failure is only logged.

    The command has done its work, and does not fail because nobody can be notified.

    Returns:
        whether it was sent.
    """
    if not lasting_api_url(settings):
        return False
    from headrace_flows.client import connect

    try:
        with connect(settings):
            from prefect.events.worker import EventsWorker

            emit(settings, kind, model, message, **details)
            # It warns at once that an event waits, on a logger of that name.
            logging.getLogger(EventsWorker.__name__).setLevel(logging.ERROR)
            EventsWorker.drain_all(timeout=SEND_LIMIT_SECONDS)
    except HeadraceError as error:
        log.warning("no notification of the %s of %s was sent: %s", kind, model, error)
        return False
    return True


def drift_of(record: MonitorRecord) -> dict[str, Any]:
    """The payload of the event ``headrace.drift``."""
    return {
        "message": record.reason,
        "version": record.version,
        "status": record.status,
        "window": record.window.source,
        "run_id": record.run_id,
        "page": record.links.get("mlflow", ""),
    }


def ensure_notifications(client: SyncPrefectClient, settings: Settings) -> str:
    """Create the automations for the block in the settings, or delete them.

    Those of other ledgers on the server are not changed.

    Returns:
        the block; empty if there are no notifications.

    Raises:
        UsageError: there is no such block.
    """
    ledger = ledger_tag(settings)
    names = [f"{ledger}: {what}" for what in _AUTOMATIONS]
    wanted = []
    if settings.notify:
        wanted = _automations(_find_block(client, settings.notify), ledger)
    for name, automation in itertools.zip_longest(names, wanted):
        existing = client.read_automations_by_name(name)
        for old in existing[1 if automation else 0 :]:
            client.delete_automation(old.id)
        if automation and existing:
            client.update_automation(existing[0].id, automation)
        elif automation:
            client.create_automation(automation)
    return settings.notify


def _automations(block: UUID, ledger: str) -> list[AutomationCore]:
    from prefect.events.actions import SendNotification
    from prefect.events.schemas.automations import AutomationCore, EventTrigger

    def automation(
        what: str, subject: str, body: str, expect: set[str], **match: dict[str, Any]
    ) -> AutomationCore:
        # An update omits fields that are not set, so the posture is set.
        trigger = EventTrigger.model_validate(
            {"posture": "Reactive", "expect": expect, **match}
        )
        action = SendNotification(
            block_document_id=block, subject=f"Headrace: {subject}", body=body
        )
        return AutomationCore(
            name=f"{ledger}: {what}",
            description="Made by Headrace from HEADRACE_NOTIFY.",
            trigger=trigger,
            actions=[action],
        )

    tag = {"prefect.resource.id": f"prefect.tag.{ledger}"}
    failures = automation(
        _AUTOMATIONS[0],
        "{{ event.resource['prefect.resource.name'] }}: "
        "{{ event.resource['prefect.state-name'] }}",
        "{{ event.resource['prefect.state-message'] }}\n{{ flow_run | ui_url }}",
        {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"},
        match={"prefect.resource.id": "prefect.flow-run.*"},
        match_related={**tag, "prefect.resource.role": "tag"},
    )
    events = automation(
        _AUTOMATIONS[1],
        "{{ event.resource.name }}: {{ event.event }}",
        "{{ event.payload.message }}\n{{ event.payload.page }}",
        {f"headrace.{kind}" for kind in EVENTS},
        match={"prefect.resource.id": resource_of("*"), LEDGER: ledger},
    )
    return [failures, events]


def _find_block(client: SyncPrefectClient, block: str) -> UUID:
    from prefect.exceptions import ObjectNotFound

    slug, _, name = block.partition("/")
    try:
        return client.read_block_document_by_name(name, slug, False).id
    except ObjectNotFound:
        raise UsageError(
            f"HEADRACE_NOTIFY is {block!r}, but the Prefect server has no such block.",
            "Name a saved notification block as TYPE/NAME, such as "
            "slack-webhook/team; `prefect block ls` shows them.",
        ) from None
