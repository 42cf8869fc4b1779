"""The serve flow: ``headrace serve`` as a process that a worker keeps running.

The run lasts as long as the server. Whoever cancels the run ends the server. A run that
crashed is started again by the next sweep; see `lasting`.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Annotated, Any

from prefect import State, flow
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled, Crashed, Failed
from pydantic import Field

from headrace.errors import DependencyError
from headrace.serving.options import Options, with_options
from headrace.settings import Settings
from headrace.state.ledger.holding import heartbeat
from headrace_flows.run import log_to_prefect
from headrace_ops import guard
from headrace_ops.prefect_inside import retrying_clients

LASTING = True  # `headrace deploy` starts it, and a sweep after a crash
GRACE_SECONDS = 6  # a worker that ends gives its flows seven
_WORDS = 500  # the most letters of what it said last
STEADY_SECONDS = 60.0

log = logging.getLogger("headrace")


@flow(name="serve", flow_run_name="port {port}", persist_result=False)
@with_options()
def serve(
    models: tuple[str, ...] = (),
    port: Annotated[int, Field(ge=1, le=65535)] = 8080,
    **options: Any,
) -> State[Any]:
    """Serve models over HTTP until the run is cancelled; as ``headrace serve``.

    Args:
        models: by default the pipeline that it is deployed for.
        port: of the machine whose worker takes the run.
    """
    log_to_prefect()
    served = Options(models or (str(deployment.get_name()),), port=port, **options)
    command = [sys.executable, "-m", "headrace_cli", "serve", *served.arguments()]
    settings = Settings().prepare_home()
    try:
        with retrying_clients(), heartbeat(settings, str(flow_run.get_id())):
            while True:
                started = time.monotonic()
                code, last = _run(command)
                message = f"The server ended with exit code {code}: {last}"
                if code < DependencyError.exit_code:
                    return Failed(message=message)
                if time.monotonic() - started < STEADY_SECONDS:
                    return Crashed(message=message)
                log.warning("%s Starting it again.", message)
    except KeyboardInterrupt:
        return Cancelled(message="Interrupted.")


def _run(command: list[str]) -> tuple[int, str]:
    """Run the server, and log what it says; returns its exit code and last words."""
    last = ""
    with guard.piped(command, GRACE_SECONDS) as process:
        for text in process.stdout or ():
            if line := text.strip():
                # An indented line goes on with the one before.
                last = f"{last} {line}"[:_WORDS] if text[0].isspace() else line
                log.info("%s", line)
        return process.wait(), last
