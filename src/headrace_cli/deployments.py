"""``headrace deploy`` and ``headrace trigger``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from headrace.errors import UsageError
from headrace_cli.answers import answer, prepared
from headrace_cli.pipelines import (
    DataOption,
    PipelineArgument,
    SetOption,
    all_overrides,
    open_pipeline,
)
from headrace_cli.terminal import console, marked

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace_flows.deploying import Applied, Wanted

_FIELDS = (
    *("pipeline", "pool", "queue", "timezone", "paused"),
    *("concurrency", "when_busy", "cooldown_minutes"),
)
EXAMPLE = '[deploy]\ncron = "0 3 * * *"'


def deploy(
    pipeline: Annotated[
        str | None,
        Argument(help="A pipeline; by default all, and stale deployments are deleted."),
    ] = None,
) -> None:
    """Make the deployments that the [deploy] tables describe."""
    from headrace.state.ledger.deployments import Deployments
    from headrace_flows import notifications
    from headrace_flows.client import connect
    from headrace_flows.deploying import apply
    from headrace_flows.deploying.wanted import owner_tags, recorded_of

    settings = prepared()
    with connect(settings) as (client, url):
        # Reading flows imports Prefect, which must know the server by then.
        wanted, without = _wanted(pipeline, settings)
        only = None
        if pipeline:
            only = without or [deployment.pipeline for deployment in wanted]
        ledger = Deployments(settings.database_url)
        # Recorded first: a worker may take a run at once.
        ledger.record(recorded_of(wanted), settings.user)
        applied = apply(client, wanted, owner_tags(settings), only)
        removed = {a.name: "" for a in applied if a.state == "removed"}
        ledger.record(removed, settings.user)
        notified = notifications.ensure(client, settings)
    if pipeline and not applied:
        raise UsageError(
            f"The pipeline {without[0]} has no [deploy] table.",
            f"Add one to its file, for example:\n{EXAMPLE}",
        )
    value = {
        "status": "deployed",
        "server": url,
        "deployments": [_described(deployment, url) for deployment in applied],
        "notify": notified or None,
    }
    answer(value, lambda: _show_deployments(value))


def _wanted(pipeline: str | None, settings: Settings) -> tuple[list[Wanted], list[str]]:
    """The wanted deployments, and the pipelines without a [deploy] table."""
    from headrace.settings import pipeline_names
    from headrace_flows.deploying import wanted_of

    own = settings.project / "pipelines"
    known = pipeline_names(settings)
    mine = [name for name, folder in known.items() if folder.parent == own]
    wanted: list[Wanted] = []
    without: list[str] = []
    for name in [pipeline] if pipeline else sorted(mine or known):
        spec, folder = open_pipeline(name, settings, None, None)
        if spec.deploy is None:
            without.append(spec.name)
        else:
            wanted += wanted_of(spec, spec.deploy, folder, settings)
    return wanted, without


def _described(applied: Applied, url: str) -> dict[str, Any]:
    wanted, link = applied.wanted, f"{url}/deployments/deployment/{applied.id}"
    described: dict[str, Any] = {"name": applied.name, "state": applied.state}
    described["link"] = None if applied.state == "removed" else link
    if wanted is not None:
        described |= {name: getattr(wanted, name) for name in _FIELDS}
        described |= {"cron": wanted.cron or None, "events": list(wanted.events)}
    return described


def _show_deployments(value: dict[str, Any]) -> None:
    out = console()
    for row in value["deployments"]:
        out.print(f"[bold]{marked(row['name'])}[/] {row['state']}", end="", markup=True)
        if row["state"] == "removed":
            out.print()
            continue
        starts = list(row["events"])
        if row["cron"]:
            paused = " (paused)" if row["paused"] else ""
            starts.insert(0, f"{row['cron']} {row['timezone']}{paused}")
        out.print(f"  pool {row['pool']}, {', '.join(starts) or 'when asked'}")
        out.print(f"  {row['link']}")
    if not value["deployments"]:
        out.print(f"No pipeline has a [deploy] table, such as\n{EXAMPLE}")
    if value["notify"]:
        out.print(f"tells {value['notify']} of what needs a person")
    out.print(f"server: {value['server']}")


def trigger(
    pipeline: PipelineArgument,
    overrides: SetOption = None,
    data: DataOption = None,
    flow: Annotated[
        str, Option(help="Which of the pipeline's deployed flows.")
    ] = "train",
) -> None:
    """Start a run of a deployed pipeline on a worker, now.

    It runs the file that was deployed. A --set of gates, contract, evaluation,
    promotion or data (except its source) makes the run an experiment, as for run.
    """
    from headrace_flows.client import connect
    from headrace_flows.triggering import trigger as start

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
    lines = [f"{name}: triggered run {run.name}; {reason}"]
    if started.overrides:
        lines.append(f"  experiment: it overrides {', '.join(started.overrides)}")
    answer(value, "\n".join([*lines, f"  {value['link']}"]))
