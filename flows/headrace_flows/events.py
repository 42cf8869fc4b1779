"""The events that start a deployment, and those that a flow emits.

Anyone may emit ``headrace.drift``: by `prefect.events.emit_event`, an automation or a
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
    """Emit ``headrace.snapshot``, if it is a new one.

    A run of the pipeline's own deployment does not: it trains on it by itself.

    Args:
        before: digest of the pipeline's last snapshot; empty: it had none.
    """
    import httpx
    from prefect.events import emit_event
    from prefect.runtime import deployment

    if snapshot.digest == before:
        return
    try:
        if deployment.get_name() == run.spec.name:
            return
    except httpx.HTTPError as error:  # of a server that is gone, and so are listeners
        log.warning("nobody was told of the new snapshot: %s", error)
        return
    emit_event(
        SNAPSHOT,
        resource={
            "prefect.resource.id": resource_of(run.spec.name),
            "prefect.resource.name": run.spec.name,
        },
        payload={"digest": snapshot.digest, "rows": snapshot.rows},
    )
