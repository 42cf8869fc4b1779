"""The verify flow: ``headrace verify --repair`` by a schedule; see ``headrace deploy``.

It notifies people of what was repaired and of what was not.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from prefect import State, flow
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from headrace.errors import IntegrityError
from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat
from headrace.state.temporary import own_temporary_folder
from headrace_flows.events import emit
from headrace_flows.run import log_to_prefect

if TYPE_CHECKING:
    from headrace.evidence.verification import Verification

log = logging.getLogger("headrace")


@flow(name="verify", flow_run_name="verify", persist_result=False)
def verify(model: str = "") -> State[Any]:
    """Restore what champions have lost, and compare everything with the ledger.

    It emits headrace.lost for each version that was not as recorded, and
    headrace.tampered for what is still not.

    Args:
        model: the only one; by default all.
    """
    log_to_prefect()
    settings = Settings().prepare_home()
    with heartbeat(settings, str(flow_run.get_id())), own_temporary_folder():
        result = _repair_and_verify(settings, model)
    if result.problem is not None:
        return Failed(name="Broken", message=result.reason)
    return Completed(name="Ok", message=result.reason)


def _repair_and_verify(settings: Settings, model: str) -> Verification:
    from headrace.evidence.repair import repair_all
    from headrace.evidence.verification import verify as compare

    try:
        for repair in repair_all(settings, model):
            emit(settings, "lost", repair.model, str(repair), version=repair.version)
    except IntegrityError as error:  # of the ledger, as it is compared below
        log.warning("%s", error.message)
    result = compare(settings, model)
    if (problem := result.problem) is not None:
        emit(settings, "tampered", problem.model or "ledger", result.reason)
    return result
