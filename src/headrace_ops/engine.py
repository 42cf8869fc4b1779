"""Prefect's engine for a flow run of a worker, without reading results.

A state on Prefect's server may refer to a pickled result, which the engine would load
for a completed run. So anyone who can set a state could execute code here. Headrace's
flows store no results, so none is read.

Headrace's own flows record that they are alive; for those of other packages it is done
here.
"""

from __future__ import annotations

import contextlib
import runpy
from typing import Any

from headrace import extensions
from headrace.settings import Settings, variable
from headrace.state.ledger.holding import heartbeat
from headrace_ops.prefect_inside import read_no_results

_HOLDER = "(engine)"  # so that a flow may hold a heartbeat of its own; no pipeline


def alive() -> contextlib.AbstractContextManager[Any]:
    """Record during a block that the flow run is alive, if its flow does not."""
    flow = variable("PREFECT__FLOW_ENTRYPOINT").rpartition(".")[2]
    if flow in extensions.modules("flows") and extensions.is_added("flows", flow):
        run = variable("PREFECT__FLOW_RUN_ID")
        return heartbeat(Settings().prepare_home(), run, _HOLDER)
    return contextlib.nullcontext()


def main() -> None:
    """Execute the flow run that the environment names."""
    read_no_results()
    with alive():
        runpy.run_module("prefect.engine", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
