"""The score flow: one task, for schedules; ``headrace score`` needs no server."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import State, flow, task
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat
from headrace.state.temporary import own_temporary_folder
from headrace.use.scoring import ScoringRecord
from headrace_flows.parameters import Place
from headrace_flows.stages import RETRIED


@task(name="score", **RETRIED)
def score_items(
    model: str, source: str, output: str, workers: int = 0
) -> ScoringRecord:
    """The champion's answer to each item of the source."""
    from headrace.use import scoring

    with own_temporary_folder():
        return scoring.score(model, source, output, Settings(), workers=workers)


@flow(name="score", flow_run_name="{model}", persist_result=False)
def score(
    model: str, source: Place, output: Place, workers: Annotated[int, Field(ge=0)] = 0
) -> State[Any]:
    """Score a batch with a model's champion.

    Args:
        model: its name.
        source: what to score: a path, any fsspec URI or ``library:name``.
        output: a .csv or .parquet file: a path or any fsspec URI.
        workers: how many parts are scored at once, on Dask or in processes of the
            machine; 0: as many as the Dask cluster takes if there is one, else the
            source is scored as a whole.
    """
    settings = Settings().prepare_home()
    with heartbeat(settings, str(flow_run.get_id())):
        record = score_items(model, source, output, workers)
    message = f"{record.scored:,} of {record.rows:,} items by version {record.version}"
    return Completed(message=message, data=record)
