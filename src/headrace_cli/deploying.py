"""``headrace deploy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import UsageError
from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.pipelines import open_pipeline
from headrace_cli.words import marked

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace_flows.deploying import Applied
    from headrace_flows.deployments import Wanted

_FIELDS = ("pool", "queue", "timezone", "paused", "when_busy", "cooldown_minutes")
EXAMPLE = '[deploy]\ncron = "0 3 * * *"'


def deploy(
    pipeline: Annotated[
        str | None,
        typer.Argument(
            help="A pipeline; by default all, and stale deployments are deleted."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make the deployments that the [deploy] tables describe."""
    from headrace.state.ledger.anchors import Deployments
    from headrace_flows.client import connect
    from headrace_flows.deploying import apply
    from headrace_flows.deployments import owner_tags, recorded_of
    from headrace_flows.events import ensure_notifications

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
        notified = ensure_notifications(client, settings)
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
    answer(value, lambda: _show(value), as_json=as_json)


def _wanted(pipeline: str | None, settings: Settings) -> tuple[list[Wanted], list[str]]:
    """The wanted deployments, and the pipelines without a [deploy] table."""
    from headrace.settings import pipeline_names
    from headrace_flows.deployments import wanted_of

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
        table = wanted.table
        described |= {"pipeline": wanted.pipeline, "concurrency": wanted.concurrency}
        described |= {name: getattr(table, name) for name in _FIELDS}
        described |= {"cron": table.cron or None, "events": wanted.events}
    return described


def _show(value: dict[str, Any]) -> None:
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


COMMANDS = (deploy,)
