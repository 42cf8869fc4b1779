"""The work pools of a worker."""

from __future__ import annotations

import contextlib
from typing import Any

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
