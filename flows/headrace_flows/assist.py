"""The assist flow: does one piece of the work that a search or another flow spreads."""

from __future__ import annotations

from typing import Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Cancelled, Completed

from headrace.errors import UsageError
from headrace.settings import Settings
from headrace.state.temporary import own_temporary_folder
from headrace_flows.run import log_to_prefect
from headrace_flows.spreading import WORKS, Piece, do_piece
from headrace_ops.prefect_inside import retrying_clients


@flow(name="assist", flow_run_name="{work} of {model}", persist_result=False)
def assist(
    model: str, work: str = "", body: dict[str, Any] | None = None
) -> State[Any]:
    """Do a piece of work for a command or a flow that waits for it.

    Args:
        model: the pipeline's name.
        work: what is to be done; such a command sets it.
        body: what it is done with; likewise.
    """
    log_to_prefect()
    if work not in WORKS:
        raise UsageError(
            f"There is no work {work!r} for assist/{model}.",
            "`headrace tune --workers` and such commands start its runs.",
        )
    settings = Settings().prepare_home()
    asked = Piece(pipeline=model, work=work, body=body or {})
    try:
        with own_temporary_folder(), retrying_clients():
            do_piece(asked, settings, str(flow_run.get_id()))
    except KeyboardInterrupt:
        return Cancelled(message="Interrupted.")
    return Completed(message="Done: the result is in the store.")
