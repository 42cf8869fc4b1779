"""The work pools of Prefect's server, and the worker that runs their flows here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote
from uuid import uuid4

import psutil

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings, variable
from headrace_ops import environment, run_server
from headrace_ops.prefect_inside import translate_errors

if TYPE_CHECKING:
    from prefect.workers.process import ProcessWorker

# Less than a guard's grace period, so that flows can end and report it to the worker.
GRACE_SECONDS = 7.0
ENDING_SECONDS = 13.0  # after it, for the worker; a container is killed after 30
DEFAULTS = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_WORKER_HEARTBEAT_SECONDS": "10",  # a silence is noticed after two
    "PREFECT_WORKER_QUERY_SECONDS": "2",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",
}
log = logging.getLogger("headrace")


def work(
    settings: Settings,
    pool: str,
    limit: int | None,
    report: Callable[[dict[str, Any]], None],
    meanwhile: Callable[[Settings], AbstractContextManager[None]],
) -> None:
    """Run the flows of a pool until SIGTERM or Ctrl-C; then end the running flows.

    Args:
        limit: how many flows run concurrently; by default one on a GPU, otherwise one
            per core.
        report: called once the worker has started.
        meanwhile: entered while the worker runs: ends runs whose process is gone.

    Raises:
        UsageError: there is no server, it needs another login, or the pool does not
            have the type process.
        DependencyError: the server does not answer.
    """
    os.environ.update({**DEFAULTS, **os.environ, **environment.places(settings)})
    run_server.enter_permanent(settings)
    # This import loads plugins, which must precede threads and the event loop.
    import prefect.workers.process  # noqa: F401

    check_pool(pool)
    limit = limit or (1 if pool == "gpu" else os.cpu_count() or 1)
    with meanwhile(settings):
        asyncio.run(_work(pool, limit, report))


async def _work(
    pool: str, limit: int, report: Callable[[dict[str, Any]], None]
) -> None:
    from prefect.workers.process import ProcessWorker

    # A restarted container keeps its host name and process id.
    name = f"{socket.gethostname()} {pool} {os.getpid()}-{uuid4().hex[:4]}"
    worker = ProcessWorker(work_pool_name=pool, name=name, limit=limit)

    def started(_text: str) -> None:
        report({"status": "up", "pool": pool, "limit": limit, "worker": name})

    has_health_check = bool(variable("PREFECT_WORKER_WEBSERVER_PORT"))
    await run(worker, with_healthcheck=has_health_check, printer=started)


async def run(worker: ProcessWorker, **options: Any) -> None:
    """Run a worker until a signal; then end its flows, and it within a limited time.

    A server that does not answer would else keep it from its end.
    """
    signaled, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as SIGHUP under nohup
            loop.add_signal_handler(number, signaled.set)
    running = asyncio.create_task(worker.start(**options))
    ending = asyncio.create_task(signaled.wait())
    await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
        return

    async def nothing() -> list[Any]:
        return []

    worker.get_and_submit_flow_runs = nothing  # type: ignore[method-assign]
    await asyncio.to_thread(_end_flows)
    running.cancel()
    _, late = await asyncio.wait({running}, timeout=ENDING_SECONDS)
    if late:
        _end_now()


def _end_flows() -> None:
    flows = psutil.Process().children()
    for flow in flows:
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            flow.terminate()
    psutil.wait_procs(flows, timeout=GRACE_SECONDS)


def _end_now() -> NoReturn:
    """End this process and its flows, whatever they wait for."""
    log.error(
        "The worker ends without reporting to the Prefect server: it did not end "
        "within %g s.",
        GRACE_SECONDS + ENDING_SECONDS,
    )
    for flow in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            flow.kill()
    os._exit(DependencyError.exit_code)


def check_pool(pool: str) -> None:
    """Create a pool if it is missing; it must be of processes.

    Raises:
        UsageError: the pool has another type, or the server refuses the login.
        DependencyError: the server does not answer.
    """
    from prefect.client.orchestration import get_client

    with translate_errors(), get_client(sync_client=True) as client:
        work_pool = ensure_pool(client, pool)
        if work_pool.type != "process":
            raise UsageError(
                f"The work pool {pool!r} has the type {work_pool.type!r} instead of "
                "'process'.",
                f"Use Prefect's own worker: prefect worker start --pool {pool}.",
            )


def ensure_pool(client: Any, pool: str, queue: str = "default") -> Any:
    """The work pool, which is made with its queue and type process if missing."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        work_pool = client.read_work_pool(pool)
    except ObjectNotFound:
        wanted = WorkPoolCreate(name=pool, type="process")
        with contextlib.suppress(ObjectAlreadyExists):  # by another client
            client.create_work_pool(wanted)
        work_pool = client.read_work_pool(pool)
    try:
        client.read_work_queue_by_name(queue, work_pool_name=pool)
    except ObjectNotFound:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_queue(name=queue, work_pool_name=pool)
    return work_pool


def online(url: str, headers: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Prefect's records of the workers that are online, by pool.

    Args:
        url: of Prefect's API.
        headers: with the login, if there is one.

    Raises:
        httpx.HTTPError: the server does not answer, or does not accept the login.
    """
    names = [str(pool["name"]) for pool in _ask(f"{url}/work_pools", headers)]
    workers = {n: _ask(f"{url}/work_pools/{quote(n)}/workers", headers) for n in names}
    return {
        name: [one for one in some if one["status"] == "ONLINE"]
        for name, some in workers.items()
    }


def _ask(url: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    import httpx

    answer = httpx.post(f"{url}/filter", headers=headers, json={}, timeout=5.0)
    answer.raise_for_status()
    return list(answer.json())
