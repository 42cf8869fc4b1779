"""A worker: Prefect's own, for flows that run as processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace_flows import recovery
from headrace_flows.prefect_errors import told
from headrace_flows.server import configure
from headrace_flows.services.environment import enter_prefect, for_flows
from headrace_flows.services.live import answers, lasting_api_url

if TYPE_CHECKING:
    import psutil
    from prefect.workers.process import ProcessWorker

# Less than what a guard allows, so that flows are told and the worker hears of it.
GRACE_SECONDS = 7.0
DEFAULTS = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
}


def default_limit(pool: str) -> int:
    """How many flows at once: one where there is a GPU to share, else one per core."""
    return 1 if pool == "gpu" else os.cpu_count() or 1


def work(
    settings: Settings, pool: str, limit: int, tell: Callable[[dict[str, Any]], None]
) -> None:
    """Run the flows of a pool until SIGTERM or Ctrl-C; then end those that run.

    The environment of this process is cut down to what flows may need.

    Args:
        limit: how many flows at once.
        tell: is called once it works.

    Raises:
        UsageError: there is no server, it wants another login, or the pool is not one
            of processes.
        DependencyError: the server does not answer.
    """
    api_url = _server(settings)
    environment = for_flows(settings)
    os.environ.clear()
    os.environ.update({**DEFAULTS, **environment, "PREFECT_API_URL": api_url})
    configure(settings)
    enter_prefect(settings, api_url)
    # Its plugins start while it is imported: here, before there are threads and a loop.
    import prefect.workers.process  # noqa: F401

    with recovery.keep_sweeping(settings):
        asyncio.run(_work(pool, limit, tell))


def _server(settings: Settings) -> str:
    api_url = lasting_api_url(settings)
    if not api_url:
        raise UsageError(
            "There is no Prefect server to work for.",
            "Start one with `headrace up`, or set PREFECT_API_URL.",
        )
    if not answers(f"{api_url}/health", 10):
        raise DependencyError(
            f"The Prefect server {api_url} does not answer.",
            "Start it, and start the worker again.",
        )
    return api_url


async def _work(pool: str, limit: int, tell: Callable[[dict[str, Any]], None]) -> None:
    from prefect.workers.process import ProcessWorker

    await _check_pool(pool)
    # In a container that is started again, host and process have the same names.
    name = f"{socket.gethostname()} {pool} {os.getpid()}-{uuid4().hex[:4]}"
    worker = ProcessWorker(work_pool_name=pool, name=name, limit=limit)
    is_ending = _end_in_order(worker)
    _begin_at_once(worker)

    def started(_text: str) -> None:
        if not is_ending.is_set():
            tell({"status": "up", "pool": pool, "limit": limit, "worker": name})

    try:
        # Prefect's page of health, for whoever restarts what no longer works.
        is_asked = "PREFECT_WORKER_WEBSERVER_PORT" in os.environ
        await worker.start(with_healthcheck=is_asked, printer=started)
    except asyncio.CancelledError:
        if not is_ending.is_set():
            raise


async def _check_pool(pool: str) -> None:
    """Make the pool if it is missing; raises UsageError where it is of another kind."""
    with told():
        found = await _find_pool(pool)
    if found.type != "process":
        raise UsageError(
            f"The pool {pool!r} is of type {found.type!r}, not of processes.",
            f"Use Prefect's worker for it: prefect worker start --pool {pool}.",
        )


async def _find_pool(pool: str) -> Any:
    """A pool; it is made if it is missing."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.workers.process import ProcessWorker

    async with get_client() as client:
        try:
            return await client.read_work_pool(pool)
        except ObjectNotFound:
            template = ProcessWorker.get_default_base_job_template()
            wanted = WorkPoolCreate(
                name=pool, type="process", base_job_template=template
            )
            try:
                return await client.create_work_pool(wanted)
            except ObjectAlreadyExists:  # another worker was as fast
                return await client.read_work_pool(pool)


def _begin_at_once(worker: ProcessWorker) -> None:
    """Have a flow begin in its first process.

    Prefect's own way is one more process before it, which imports all of Prefect to
    fetch the flow's code; ours is installed.
    """
    run = worker.run

    async def run_at_once(
        flow_run: Any, configuration: Any, task_status: Any = None
    ) -> Any:
        configuration._command_configured = True  # as if a person had said how
        return await run(flow_run, configuration, task_status)

    worker.run = run_at_once  # type: ignore[method-assign]


def _end_in_order(worker: ProcessWorker) -> asyncio.Event:
    """On a signal: take no more flows, tell those that run, wait for them, and end."""
    is_ending = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    poll = worker.get_and_submit_flow_runs

    async def poll_unless_ending() -> list[Any]:
        return [] if is_ending.is_set() else await poll()

    async def end() -> None:
        try:
            await asyncio.to_thread(_end_flows)
        finally:
            if task is not None:
                task.cancel()

    kept: set[asyncio.Task[None]] = set()

    def begin_to_end() -> None:
        if is_ending.is_set():
            return
        is_ending.set()
        kept.add(loop.create_task(end()))

    worker.get_and_submit_flow_runs = poll_unless_ending  # type: ignore[method-assign]
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin_to_end)
    return is_ending


def _end_flows() -> None:
    import psutil

    flows = psutil.Process().children()
    for flow in flows:
        with contextlib.suppress(psutil.Error):  # it has just ended by itself
            if not _is_suspended(flow):
                flow.terminate()
    psutil.wait_procs(flows, timeout=GRACE_SECONDS)


def _is_suspended(flow: psutil.Process) -> bool:
    """Whether its run waits for a person.

    Such a process ends by itself; told to, it would make a crash of what goes on later.
    """
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException

    try:
        run = UUID(flow.environ()["PREFECT__FLOW_RUN_ID"])
        with get_client(sync_client=True) as client:
            state = client.read_flow_run(run).state
    except (KeyError, httpx.HTTPError, PrefectException):
        return False
    return state is not None and state.is_paused()
