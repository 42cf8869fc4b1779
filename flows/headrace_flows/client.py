"""Clients of Prefect servers, and flow runs that others start and wait for.

For an idempotency key Prefect returns the first run, even if it failed. So the key of
some work contains the attempt before. All attempts share a tag.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from headrace import errors
from headrace.errors import DependencyError, HeadraceError
from headrace.settings import Settings
from headrace.state.ledger.leases import Leases
from headrace_ops import live, run_server
from headrace_ops.prefect_inside import translate_errors

SILENCE_LIMIT_SECONDS = 600
PATIENCE_SECONDS = 30.0
POLL_SECONDS = 1.0
OVER = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")  # states of ended flow runs
PAGE = 200  # the most flow runs that Prefect answers with

_RAISED = re.compile(r"exception: (\w+): (.*)", re.DOTALL)
log = logging.getLogger("headrace")


@contextlib.contextmanager
def connect(settings: Settings) -> Iterator[tuple[Any, str]]:
    """A client of the permanent server, and the URL of its pages.

    Raises:
        UsageError: there is no server, or it refuses a request.
        DependencyError: the server does not answer.
    """
    url = run_server.enter_permanent(settings)
    from prefect.client.orchestration import get_client

    with translate_errors(), get_client(sync_client=True) as client:
        yield client, live.pages_url(url)


def untagged() -> AbstractContextManager[Any]:
    """Give the task runs in a block no tags, not even those of their flow run.

    For each task run with a tag, Prefect asks the server for a limit by that tag. If
    another request writes to SQLite meanwhile, it waits for two seconds and more.
    """
    from prefect.context import TagsContext

    return TagsContext(current_tags=set())


def work_of(settings: Settings, fingerprint: str) -> str:
    """The name of some work, which is unique on a server that several ledgers use.

    Raises:
        DependencyError: the ledger does not answer.
    """
    return f"{Leases(settings.database_url).identity()}-{fingerprint}"


def start_once(client: Any, work: str, start: Callable[..., Any]) -> Any:
    """The flow run that does some work already, or a new one.

    Args:
        client: of the server.
        work: see `work_of`.
        start: starts a flow run with the tags and the idempotency key that it is given.
    """
    tag = f"work:{work}"
    runs = flow_runs(client, {"tags": {"all_": [tag]}})
    attempts = sorted(runs, key=lambda run: run.created)
    if attempts and not attempts[-1].state.is_final():
        return attempts[-1]
    # Attempts may have been deleted meanwhile: their number says nothing.
    last = attempts[-1].id if attempts else "none"
    return start(tags=[tag], idempotency_key=f"{work}-after-{last}")


def flow_runs(
    client: Any, wanted: dict[str, Any], flows: dict[str, Any] | None = None
) -> Iterator[Any]:
    """Flow runs, the newest first, read in pages.

    Args:
        wanted: which ones, as Prefect's filter has it.
        flows: of which flows, likewise; by default of any.
    """
    from prefect.client.schemas.filters import FlowFilter, FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    runs = FlowRunFilter.model_validate(wanted)
    of_flows = FlowFilter.model_validate(flows) if flows else None
    for offset in itertools.count(step=PAGE):
        page = client.read_flow_runs(
            flow_filter=of_flows,
            flow_run_filter=runs,
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
            limit=PAGE,
            offset=offset,
        )
        yield from page
        if len(page) < PAGE:
            return


def wait_for(client: Any, run: Any, place: str) -> Any:
    """Wait until a flow run has ended, also while the server does not answer.

    Args:
        run: Prefect's record of it.
        place: where it runs, for messages.

    Returns:
        Prefect's record of the ended run.

    Raises:
        DependencyError: the server has not answered for ten minutes, or the run was
            deleted.
    """
    import httpx
    from prefect.exceptions import ObjectNotFound

    started = last_answer = time.monotonic()
    patience = PATIENCE_SECONDS
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
        if waits and time.monotonic() - started > patience:
            log.info("waiting for a free worker of %s", place)
            patience = math.inf  # it is logged once
        time.sleep(POLL_SECONDS)


def error_in(state: Any) -> HeadraceError | None:
    """The error of ours that ended a flow run; None if none did.

    Args:
        state: the run's last one, whose message is Prefect's.
    """
    raised = _RAISED.search(state.message or "")
    kind = getattr(errors, raised[1], None) if raised else None
    if raised and isinstance(kind, type) and issubclass(kind, HeadraceError):
        return kind(raised[2])
    return None
