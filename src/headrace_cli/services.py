"""Headrace as a service: ``up``, ``deploy``, ``worker`` and ``doctor``."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from headrace.errors import UsageError
from headrace_cli.answers import answer, begin, prepared, show_table, show_text

if TYPE_CHECKING:
    from headrace.pipeline import PipelineSpec
    from headrace.settings import Settings
    from headrace_flows.deploying import Applied

_FIELDS = ("pool", "queue", "timezone", "paused", "when_busy", "cooldown_minutes")
EXAMPLE = '[deploy]\ncron = "0 3 * * *"'


def up(
    workers: Annotated[
        bool, Option("--workers/--no-workers", help="A worker for each pool, or none.")
    ] = True,
) -> None:
    """Run the pages, Prefect, MLflow and a worker for each pool."""
    from headrace_flows.recovery import sweeping
    from headrace_ops import live, servers, supervisor

    settings = prepared()
    with live.only_one(settings) as lock:
        supervised = supervisor.Supervisor(lock)
        try:
            pools = servers.POOLS if workers else ()
            started = supervisor.start_all(supervised, settings, pools)
            with suppress(KeyboardInterrupt):
                pages = supervisor.page_links(settings, started["links"])
                answer(started, lambda: show_servers(started, pages))
                api_url = started["environment"]["PREFECT_API_URL"]
                # Workers end runs whose process is gone; without them, this does.
                with nullcontext() if workers else sweeping(settings, api_url):
                    supervised.watch()
        finally:
            supervised.stop()


def show_servers(servers: dict[str, Any], pages: dict[str, str]) -> None:
    """Show what ``up`` has started and, last, where its pages are."""
    for pool in servers["workers"]:
        show_text(f"{'worker':<10}pool {pool}")
    show_text(f"{'home':<10}{servers['home']}")
    if "headrace" in pages:
        from headrace.state.logins import LOGIN_FILE

        show_text(f"{'login':<10}{Path(servers['home']) / LOGIN_FILE}")
        show_text("The links contain the home's login: do not share them.")
    show_text("Press Ctrl-C to end all of them.")
    for name, link in pages.items():
        show_text(f"{name:<10}{link}")


def worker(
    pool: Annotated[str, Option(help="cpu or gpu, or a pool of your own.")],
    limit: Annotated[
        int | None,
        Option(min=1, help="Flows at once: by default 1 for gpu, else one per core."),
    ] = None,
) -> None:
    """Run the flows of a pool, each as a process, until Ctrl-C."""
    from headrace_flows.recovery import sweeping
    from headrace_ops.worker import work

    def report(value: dict[str, Any]) -> None:
        text = (
            f"Worker {value['worker']} runs flows of the pool {value['pool']}, "
            f"{value['limit']} at once. Press Ctrl-C to end it."
        )
        answer(value, text)

    work(prepared(), pool, limit, report, sweeping)


def doctor() -> None:
    """Report what is configured and what answers, with fixes."""
    from headrace_ops.doctor import examine

    settings = begin()
    checks = examine(settings)
    states = {check.state for check in checks}
    status = next((s for s in ("wrong", "unreachable", "hint") if s in states), "ok")
    home, rows = str(settings.home.absolute()), [c.model_dump() for c in checks]
    value = {"status": status, "home": home, "checks": rows}
    exit_code = {"wrong": 2, "unreachable": 3}.get(status, 0)
    lines = [
        (check.state, check.name, check.seen + f"  ->  {check.fix}" * bool(check.fix))
        for check in checks
    ]
    answer(value, lambda: show_table(lines), exit_code)


def deploy(
    pipeline: Annotated[
        str | None,
        Argument(metavar="PIPELINE", help="Else all, and others are deleted."),
    ] = None,
) -> None:
    """Make the deployments of the [deploy] tables, and a nightly verify."""
    from headrace.state.home import Home
    from headrace.use.backbones import pinned
    from headrace_flows.client import connect
    from headrace_flows.deploying import apply, nightly
    from headrace_flows.deployments import owner_tags, wanted_of
    from headrace_flows.events import ensure_notifications

    settings = prepared()
    opened = [
        (pinned(spec, Home(settings)), folder)
        for spec, folder in _opened(pipeline, settings)
    ]
    without = [spec.name for spec, _ in opened if spec.deploy is None]
    with connect(settings) as (client, url):
        # It reads flows, which imports Prefect, which must know the server by then.
        wanted = [
            deployment
            for spec, folder in opened
            if spec.deploy is not None
            for deployment in wanted_of(spec, spec.deploy, folder, settings)
        ]
        only = without or [w.pipeline for w in wanted] if pipeline else None
        owner = owner_tags(settings)
        wanted += [] if pipeline else nightly(client, owner)
        ledger = Home(settings).ledger
        ledger.facts.record({one.name: one.entrypoint for one in wanted}, settings.user)
        applied = apply(client, wanted, owner, only)
        removed = {one.name: "" for one in applied if one.state == "removed"}
        ledger.facts.record(removed, settings.user)
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
    answer(value, lambda: _show_deployments(value))


def _opened(
    pipeline: str | None, settings: Settings
) -> list[tuple[PipelineSpec, Path]]:
    """The pipelines to deploy, and their folders."""
    from headrace.pipeline.folders import open_pipeline, pipeline_names

    own = settings.project / "pipelines"
    folders = pipeline_names(settings)
    mine = [name for name, folder in folders.items() if folder.parent == own]
    names = [pipeline] if pipeline else sorted(mine or folders)
    return [open_pipeline(name, settings) for name in names]


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


def _show_deployments(value: dict[str, Any]) -> None:
    rows = [
        (row["name"], row["state"], *_place(row), row["link"])
        for row in value["deployments"]
    ]
    show_table(rows)
    if not any(row["name"].startswith("train/") for row in value["deployments"]):
        show_text(f"No pipeline has a [deploy] table, such as\n{EXAMPLE}")
    whom = value["notify"] or "nobody (HEADRACE_NOTIFY is not set)"
    show_text(f"notifies {whom} of drift, failures and refusals")
    show_text(f"server: {value['server']}")


def _place(row: dict[str, Any]) -> tuple[str, str]:
    """The pool of a deployment, and what starts it."""
    if row["state"] == "removed":
        return "", ""
    starts = list(row["events"])
    if row["cron"]:
        starts.insert(
            0, f"{row['cron']} {row['timezone']}{' (paused)' * row['paused']}"
        )
    return f"pool {row['pool']}", ", ".join(starts) or "when asked"
