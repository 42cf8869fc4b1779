"""The work pools of ``headrace worker``, with a template that runs cannot override."""

from __future__ import annotations

import contextlib
from typing import Any

from headrace.errors import UsageError
from headrace_ops.prefect_errors import translate_errors

# Without job variables: command, working directory and environment are the worker's.
PROCESS_TEMPLATE: dict[str, Any] = {
    "job_configuration": {"env": {}, "labels": {}, "stream_output": True},
    "variables": {"type": "object", "properties": {}, "additionalProperties": False},
}


def check_pool(pool: str) -> None:
    """Create a pool if it is missing, and replace Prefect's default template.

    Raises:
        UsageError: the pool has another type, or the server refuses the login.
        DependencyError: the server does not answer.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolUpdate
    from prefect.workers.process import ProcessWorker

    with translate_errors(), get_client(sync_client=True) as client:
        work_pool = _ensure_pool(client, pool)
        if work_pool.type != "process":
            raise UsageError(
                f"The work pool {pool!r} has the type {work_pool.type!r} instead of "
                "'process'.",
                f"Use Prefect's own worker: prefect worker start --pool {pool}.",
            )
        default = ProcessWorker.get_default_base_job_template()
        if work_pool.base_job_template in ({}, default):
            update = WorkPoolUpdate(base_job_template=PROCESS_TEMPLATE)
            client.update_work_pool(pool, update)


def ensure_pool(client: Any, pool: str, queue: str = "default") -> None:
    """Create a work pool of type process, and its queue, if they are missing."""
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    _ensure_pool(client, pool)
    try:
        client.read_work_queue_by_name(queue, work_pool_name=pool)
    except ObjectNotFound:
        with contextlib.suppress(ObjectAlreadyExists):
            client.create_work_queue(name=queue, work_pool_name=pool)


def _ensure_pool(client: Any, pool: str) -> Any:
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

    try:
        return client.read_work_pool(pool)
    except ObjectNotFound:
        wanted = WorkPoolCreate(
            name=pool, type="process", base_job_template=PROCESS_TEMPLATE
        )
        with contextlib.suppress(ObjectAlreadyExists):  # by another client
            return client.create_work_pool(wanted)
        return client.read_work_pool(pool)
