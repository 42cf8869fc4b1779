"""``headrace trigger``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.pipelines import (
    DataOption,
    PipelineArgument,
    SetOption,
    all_overrides,
    open_pipeline,
)


def trigger(
    pipeline: PipelineArgument,
    overrides: SetOption = None,
    data: DataOption = None,
    flow: Annotated[
        str, typer.Option(help="Which of the pipeline's deployed flows.")
    ] = "train",
    as_json: JsonOption = False,
) -> None:
    """Start a run of a deployed pipeline on a worker, now.

    It runs the file that was deployed. A --set of gates, contract, evaluation,
    promotion or data (except its source) makes the run an experiment, as for run.
    """
    from headrace_flows.client import connect
    from headrace_flows.deploying import trigger as start

    settings = prepared()
    name = open_pipeline(pipeline, settings, overrides, data)[0].name
    with connect(settings) as (client, url):
        started = start(client, name, all_overrides(overrides, data), settings, flow)
    run, pool = started.run, started.pool
    reason = f"a worker of pool {pool} runs it"
    if not started.has_worker:
        reason = (
            f"no worker of pool {pool} is there: it waits for `headrace up` or "
            f"`headrace worker --pool {pool}`"
        )
    value = {
        "pipeline": name,
        "status": "triggered",
        "reason": reason,
        "run": run.name,
        "flow_run_id": str(run.id),
        "link": f"{url}/runs/flow-run/{run.id}",
        "experiment": bool(started.overrides),
        "overrides": list(started.overrides),
    }
    answer(value, lambda: _show(value), as_json=as_json)


def _show(value: dict[str, Any]) -> None:
    out = console()
    out.print(f"{value['pipeline']}: triggered run {value['run']}; {value['reason']}")
    if value["experiment"]:
        out.print(f"  experiment: it overrides {', '.join(value['overrides'])}")
    out.print(f"  {value['link']}")


COMMANDS = (trigger,)
