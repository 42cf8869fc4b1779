"""The attempts of a deployment at the same work, one after the other.

For an idempotency key Prefect returns the first run, even if it failed. So the key
contains the number of the attempt. All attempts share a tag.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from headrace.errors import DependencyError
from headrace.state.ledger import Leases

if TYPE_CHECKING:
    from headrace.settings import Settings

SILENCE_LIMIT_SECONDS = 600
PATIENCE_SECONDS = 30
POLL_SECONDS = 1.0

log = logging.getLogger("headrace")


class Stopped(Exception):
    """The waiting was stopped; the flow run goes on."""


def work_of(settings: Settings, fingerprint: str) -> str:
    """The name of some work, which is unique on a server that several ledgers use.

    Raises:
        DependencyError: the ledger does not answer.
    """
    return f"{Leases(settings.database_url).identity()}-{fingerprint}"


def find_attempts(client: Any, work: str) -> list[Any]:
    """All flow runs for some work, oldest first."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[tag_of(work)]))
    flow_runs = client.read_flow_runs(flow_run_filter=wanted)
    return sorted(flow_runs, key=lambda run: run.created)


def tag_of(work: str) -> str:
    """The tag of all flow runs for some work."""
    return f"work:{work}"


def wait_for(
    client: Any, run: Any, place: str, stopping: threading.Event | None = None
) -> Any:
    """Wait until a flow run has ended, also while the server does not answer.

    Args:
        run: Prefect's record of it.
        place: where it runs, for messages.
        stopping: stops the waiting when it is set.

    Returns:
        Prefect's record of the ended run.

    Raises:
        DependencyError: the server has not answered for ten minutes, or the run was
            deleted.
        Stopped: `stopping` was set.
    """
    import httpx
    from prefect.exceptions import ObjectNotFound

    started = last_answer = time.monotonic()
    is_logged = False
    while True:
        try:
            run = client.read_flow_run(run.id)
            last_answer = time.monotonic()
        except ObjectNotFound as error:
            raise DependencyError(
                f"The flow run {run.id} of {place} was deleted from Prefect.",
                "Run the same command again.",
            ) from error
        except httpx.HTTPError as error:
            if time.monotonic() - last_answer > SILENCE_LIMIT_SECONDS:
                raise DependencyError(
                    f"The Prefect server has not answered for "
                    f"{SILENCE_LIMIT_SECONDS // 60} minutes: {error}.",
                    "Start the server, then run the same command again.",
                ) from error
        if run.state is not None and run.state.is_final():
            return run
        waits = run.state is None or run.state.is_scheduled()
        if waits and not is_logged and time.monotonic() - started > PATIENCE_SECONDS:
            log.info("waiting for a free worker of %s", place)
            is_logged = True
        if stopping is None:
            time.sleep(POLL_SECONDS)
        elif stopping.wait(POLL_SECONDS):
            raise Stopped
