"""Old flow runs in Prefect, for ``headrace gc``.

Prefect deletes the tasks and the logs of a flow run with it. Only runs of this ledger
that have ended are deleted.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from headrace.retention.collection import Others
from headrace.retention.roots import Policy
from headrace.settings import Settings
from headrace.state.ledger.disposals import Collected
from headrace_flows.client import OVER, flow_runs
from headrace_flows.events import ledger_tag
from headrace_ops import environment, live
from headrace_ops.prefect_errors import translate_errors
from headrace_ops.run_server import server_for_run

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas import FlowRun

PREFIX = "prefect/flow-runs/"


@contextlib.contextmanager
def old_flow_runs(settings: Settings, policy: Policy) -> Iterator[Others | None]:
    """Prefect's part of a collection, with the server that it needs.

    Yields:
        None if the home has no Prefect.

    Raises:
        DependencyError: Prefect's server does not answer.
    """
    if not _has_prefect(settings):
        yield None
        return
    with server_for_run(settings) as server, translate_errors():
        server.wait()
        yield Others(lambda needed: _find(settings, policy, needed), _delete, PREFIX)


def _has_prefect(settings: Settings) -> bool:
    """Whether there is a server, or the home has a database of a former one."""
    database = settings.home / "prefect" / "prefect.db"
    configured = environment.prefect_database()
    return bool(configured or live.lasting_api_url(settings) or database.is_file())


def _find(settings: Settings, policy: Policy, needed: set[str]) -> list[Collected]:
    """Ended flow runs that are old, not among the newest, and of no kept MLflow run."""
    limit = datetime.now(UTC) - timedelta(days=policy.older_days)
    wanted: dict[str, Any] = {
        "tags": {"all_": [ledger_tag(settings)]},
        "state": {"type": {"any_": list(OVER)}},
    }
    newest: Counter[tuple[str, str]] = Counter()
    old = []
    for run in _flow_runs(wanted):
        own = str(run.flow_id), _pipeline_of(run)
        newest[own] += 1
        is_new = newest[own] <= policy.keep
        is_young = run.end_time is None or run.end_time > limit
        if not (is_new or is_young or str(run.id) in needed or run.parent_task_run_id):
            old.append(Collected(kind="Prefect runs", key=f"{PREFIX}{run.id}"))
    return old


def _pipeline_of(run: FlowRun) -> str:
    """The pipeline or model of a flow run, from its parameters."""
    value = run.parameters.get("pipeline", run.parameters.get("model", ""))
    return str(value.get("name", "") if isinstance(value, dict) else value)


def _flow_runs(wanted: dict[str, Any]) -> Iterator[FlowRun]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield from flow_runs(client, wanted)


def _delete(items: Sequence[Collected]) -> None:
    """Delete flow runs, and first the artifacts that they have published."""
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    numbers = [item.key.removeprefix(PREFIX) for item in items]
    with get_client(sync_client=True) as client:
        _delete_artifacts(client, numbers)
        for number in numbers:
            with contextlib.suppress(ObjectNotFound):  # another command deleted it
                client.delete_flow_run(UUID(number))


def delete_published(settings: Settings, flow_runs: set[str]) -> Counter[str]:
    """Delete what flow runs have published in Prefect, such as reports.

    Prefect keeps them in its events as well, until its own retention deletes those.

    Raises:
        DependencyError: Prefect's server or database does not answer.
    """
    numbers = sorted(filter(_is_uuid, flow_runs))
    if not (numbers and _has_prefect(settings)):
        return Counter()
    with server_for_run(settings) as server, translate_errors():
        server.wait()
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            return Counter({"reports in Prefect": _delete_artifacts(client, numbers)})


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False


def _delete_artifacts(client: SyncPrefectClient, flow_runs: Sequence[str]) -> int:
    """Delete what flow runs have published; returns the number of artifacts."""
    from prefect.client.schemas.filters import ArtifactFilter
    from prefect.exceptions import ObjectNotFound

    published = []
    for flow_run in flow_runs:
        own = ArtifactFilter.model_validate({"flow_run_id": {"any_": [flow_run]}})
        published += client.read_artifacts(artifact_filter=own)
    for artifact in published:
        with contextlib.suppress(ObjectNotFound):  # another command deleted it
            client.delete_artifact(artifact.id)
    return len(published)
