"""The lines that a run has logged, which Prefect keeps in its database.

Those of a run with a temporary server are in the database of the home, and are read by
another temporary server.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from headrace.errors import NotFoundError
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger.leases import Leases
from headrace_flows.client import PAGE
from headrace_ops import environment, live, run_server
from headrace_ops.prefect_errors import translate_errors

LEAST = 4  # signs of an id
_ACTION = "`headrace status` names the runs under way, `headrace list` the last ones."


class Line(Record):
    """A line of a log; ``time`` is ISO 8601, UTC, ``level`` as Python names it."""

    time: str
    level: str
    message: str


class Logged(Record):
    """What a flow run has logged so far; ``name`` and ``state`` are Prefect's."""

    flow_run_id: str
    name: str
    state: str
    lines: tuple[Line, ...]


def logged(run: str, settings: Settings) -> Logged:
    """The lines of a run, the first one first.

    Args:
        run: as for `find_flow_run`.
        settings: of the home.

    Raises:
        NotFoundError: there is no such run, or Prefect has it no more.
        DependencyError: the ledger, MLflow or Prefect's server does not answer.
    """
    flow_run_id = find_flow_run(run, settings)
    run_server.configure(settings)
    database = environment.own_prefect_database()
    is_empty = database is not None and not database.exists()
    if is_empty and not live.lasting_api_url(settings):
        raise _gone(flow_run_id)
    with run_server.server_for_run(settings) as server:
        server.wait()
        from prefect.client.orchestration import get_client
        from prefect.exceptions import ObjectNotFound

        with translate_errors(), get_client(sync_client=True) as client:
            try:
                found = client.read_flow_run(UUID(flow_run_id))
            except ObjectNotFound:
                raise _gone(flow_run_id) from None
            return Logged(
                flow_run_id=flow_run_id,
                name=found.name,
                state=(found.state.name or "") if found.state else "",
                lines=tuple(_lines(client, flow_run_id)),
            )


def _lines(client: Any, flow_run_id: str) -> Iterator[Line]:
    from prefect.client.schemas.filters import FlowRunFilter, LogFilter
    from prefect.client.schemas.sorting import LogSort

    run = FlowRunFilter.model_validate({"id": {"any_": [flow_run_id]}})
    stages = {x.id: x.name for x in client.read_task_runs(flow_run_filter=run)}
    own = LogFilter.model_validate({"flow_run_id": {"any_": [flow_run_id]}})
    for offset in itertools.count(step=PAGE):
        page = client.read_logs(own, PAGE, offset, LogSort.TIMESTAMP_ASC)
        for one in page:
            stage = stages.get(one.task_run_id, "")
            is_end = stage and one.message.startswith("Finished in state")
            yield Line(
                time=one.timestamp.isoformat(timespec="milliseconds"),
                level=logging.getLevelName(one.level),
                message=f"{stage}: {one.message}" if is_end else one.message,
            )
        if len(page) < PAGE:
            return


def find_flow_run(run: str, settings: Settings) -> str:
    """The id of a flow run in Prefect.

    Args:
        run: it, or how it begins if it is under way or the last one of a pipeline; the
            id of an MLflow run, or how it begins; a pipeline, for its last run;
            ``MODEL/VERSION`` or ``MODEL@champion``.
        settings: of the home.

    Raises:
        NotFoundError: nothing is named so, or it was no flow run.
        DependencyError: the ledger or MLflow does not answer.
    """
    with contextlib.suppress(ValueError):
        if "-" in run:
            return str(UUID(run))
    home = Home.existing(settings, f"run {run!r}")
    if {"/", "@"} & set(run):
        tracked = home.tracking.find_run(home.ledger.find(run).run_id)
        return _checked(run, tracked.flow_run_id)
    leases, _ = Leases(settings.database_url).all()  # oldest first
    named = [lease for lease in leases if lease.name == run]
    if named:
        return _checked(run, named[-1].flow_run_id)
    is_long = len(run) >= LEAST
    begun = {x.flow_run_id for x in leases if is_long and x.flow_run_id.startswith(run)}
    if len(begun) == 1:
        return _checked(run, *begun)
    if begun:
        raise NotFoundError(f"Several runs begin with {run!r}.", "Name more of the id.")
    if not (is_long and re.fullmatch("[0-9a-f]+", run)):
        raise NotFoundError(f"There is no run {run!r}.", _ACTION)
    return _checked(run, home.tracking.find_run(run).flow_run_id)


def _checked(run: str, flow_run_id: str) -> str:
    with contextlib.suppress(ValueError):
        return str(UUID(flow_run_id))
    raise NotFoundError(f"{run!r} was no run of a flow, so it has no log.", _ACTION)


def _gone(flow_run_id: str) -> NotFoundError:
    return NotFoundError(
        f"Prefect has no flow run {flow_run_id}.",
        f"`headrace gc` or somebody else may have deleted it. {_ACTION}",
    )
