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
    from headrace_flows.deploying import Applied, Wanted

_TOLD = (
    *("pipeline", "pool", "queue", "timezone", "paused"),
    *("concurrency", "when_busy", "cooldown_minutes"),
)
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
    from headrace.state.ledger.deployments import Deployments
    from headrace_flows import notifications
    from headrace_flows.client import connect
    from headrace_flows.deploying import apply
    from headrace_flows.deploying.wanted import owner_tags, recorded_of

    settings = prepared()
    wanted, without = _wanted(pipeline, settings)
    with connect(settings) as (client, url):
        only = without or [one.pipeline for one in wanted] if pipeline else None
        ledger = Deployments(settings.database_url)
        # Before they are made: a worker may take a run of theirs at once.
        ledger.record(recorded_of(wanted), settings.user)
        applied = apply(client, wanted, owner_tags(settings), only)
        gone = {one.name: "" for one in applied if one.state == "removed"}
        ledger.record(gone, settings.user)
        told = notifications.ensure(client, settings)
    if pipeline and not applied:
        raise UsageError(
            f"The pipeline {without[0]} has no [deploy] table.",
            f"Add one to its file, for example:\n{EXAMPLE}",
        )
    value = {
        "status": "deployed",
        "server": url,
        "deployments": [_described(one, url) for one in applied],
        "notify": told or None,
    }
    answer(value, lambda: _show(value), as_json=as_json)


def _wanted(pipeline: str | None, settings: Settings) -> tuple[list[Wanted], list[str]]:
    """What there should be, and the names of the pipelines that want nothing."""
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
    is_gone, wanted = applied.state == "removed", applied.wanted
    link = None if is_gone else f"{url}/deployments/deployment/{applied.id}"
    described = {"name": applied.name, "state": applied.state, "link": link}
    if wanted is None:
        return described
    return {
        **described,
        **{name: getattr(wanted, name) for name in _TOLD},
        "cron": wanted.cron or None,
        "events": list(wanted.events),
    }


def _show(value: dict[str, Any]) -> None:
    out = console()
    for one in value["deployments"]:
        out.print(f"[bold]{marked(one['name'])}[/] {one['state']}", end="", markup=True)
        if one["state"] == "removed":
            out.print()
            continue
        when = f"{one['cron']} {one['timezone']}" if one["cron"] else ""
        when += " (paused)" if one["cron"] and one["paused"] else ""
        starts = ", ".join(filter(None, [when, *one["events"]])) or "when asked"
        out.print(f"  pool {one['pool']}, {starts}")
        out.print(f"  {one['link']}")
    if not value["deployments"]:
        out.print(f"No pipeline has a [deploy] table, such as\n{EXAMPLE}")
    if value["notify"]:
        out.print(f"tells {value['notify']} of what needs a person")
    out.print(f"server: {value['server']}")


COMMANDS = (deploy,)
