"""The events that start deployments, and those that flows emit.

Anyone can emit ``headrace.drift``: with `prefect.events.emit_event`, an automation or a
webhook. Its resource is ``headrace.pipeline.<name>``.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from headrace.records import SnapshotRecord

if TYPE_CHECKING:
    from headrace_flows.run import Run

DRIFT = "headrace.drift"
SNAPSHOT = "headrace.snapshot"

log = logging.getLogger("headrace")


def resource_of(pipeline: str) -> str:
    """The resource that a pipeline's events are about."""
    return f"headrace.pipeline.{pipeline}"


def tell_of_snapshot(run: Run, snapshot: SnapshotRecord, before: str) -> None:
    """Emit ``headrace.snapshot`` if the snapshot is new.

    A run of the pipeline's own deployment emits nothing: it trains on the snapshot.

    Args:
        before: the digest of the pipeline's previous snapshot; empty: it had none.
    """
    import httpx
    from prefect.events import emit_event
    from prefect.runtime import deployment

    if snapshot.digest == before:
        return
    try:
        if deployment.get_name() == run.spec.name:
            return
    except httpx.HTTPError as error:  # without the server, nothing listens
        log.warning("no event for the new snapshot was sent: %s", error)
        return
    emit_event(
        SNAPSHOT,
        resource={
            "prefect.resource.id": resource_of(run.spec.name),
            "prefect.resource.name": run.spec.name,
        },
        payload={"digest": snapshot.digest, "rows": snapshot.rows},
    )
