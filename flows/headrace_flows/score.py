"""The score flow: one task, for schedules; ``headrace score`` needs no server."""

from __future__ import annotations

from typing import Any

from prefect import State, flow, task
from prefect.runtime import flow_run
from prefect.states import Completed

from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat
from headrace.state.temporary import own_temporary_folder
from headrace.use.scoring import ScoringRecord
from headrace_flows.parameters import Place
from headrace_flows.stages import RETRIED


@task(name="score", **RETRIED)
def score_items(model: str, source: str, output: str) -> ScoringRecord:
    """The champion's answer to each item of the source."""
    from headrace.use import scoring

    with own_temporary_folder():
        return scoring.score(model, source, output, Settings())


@flow(name="score", flow_run_name="{model}", persist_result=False)
def score(model: str, source: Place, output: Place) -> State[Any]:
    """Score a batch with a model's champion.

    Args:
        model: its name.
        source: what to score: a path, any fsspec URI or ``library:name``.
        output: a .csv or .parquet file: a path or any fsspec URI.
    """
    settings = Settings().prepare_home()
    with heartbeat(settings, str(flow_run.get_id())):
        record = score_items(model, source, output)
    message = f"{record.scored:,} of {record.rows:,} items by version {record.version}"
    return Completed(message=message, data=record)
