"""The work pools of Prefect's server, and their workers."""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import quote

from headrace.errors import UsageError
from headrace_ops.prefect_errors import translate_errors


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
