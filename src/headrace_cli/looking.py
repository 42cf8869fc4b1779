"""``headrace status`` and ``headrace logs``: what is running, and what a run said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument

from headrace_cli.answers import answer, begin, minutes, one_line, show_text
from headrace_cli.pipelines import complete_pipelines

if TYPE_CHECKING:
    from headrace_flows.logs import Logged
    from headrace_ops.running import Running


def status() -> None:
    """What is running where: servers, workers, runs under way."""
    from headrace_ops.running import look

    seen = look(begin())
    exit_code = 3 if seen.status == "unreachable" else 0
    answer(seen.model_dump(mode="json"), lambda: _show_running(seen), exit_code)


def _show_running(seen: Running) -> None:
    up = f"process {seen.up}" if seen.up else "not running; start it: headrace up"
    rows = [("home", seen.home), ("up", up)]
    for server in seen.servers:
        silent = "" if server.answers else "  does not answer; see headrace doctor"
        rows.append((server.name, f"{server.link}{silent}"))
    for worker in seen.workers:
        heard = f", heard of at {minutes(worker.seen)} UTC" if worker.seen else ""
        rows.append(("worker", f"pool {worker.pool}: {worker.name}{heard}"))
    for one in seen.serving:
        models = ", ".join(one.models)
        since = f"since {minutes(one.since)} UTC"
        rows.append(("serving", f"{models} at {one.url}, process {one.pid} {since}"))
    for run in seen.runs:
        where = f"{run.who}, process {run.process} on {run.host}"
        since = f"since {minutes(run.since)} UTC"
        rows.append(("run", f"{run.pipeline} {run.flow_run_id}".strip()))
        rows.append(("", f"{where}, {since}"))
    if not seen.runs:
        rows.append(("run", "none is under way"))
    for name, text in rows:
        show_text(f"{name:<10}{one_line(text)}")


def logs(
    run: Annotated[
        str,
        Argument(
            metavar="RUN",
            help="A flow run's or an MLflow run's id, or how it begins; a pipeline, "
            "for its last run; MODEL@champion or MODEL/VERSION.",
            autocompletion=complete_pipelines,
        ),
    ],
) -> None:
    """The lines that a run has logged so far."""
    from headrace_flows.logs import logged

    found = logged(run, begin())
    answer(found.model_dump(mode="json"), lambda: _show_lines(found))


def _show_lines(found: Logged) -> None:
    for line in found.lines:
        time = line.time[:19].replace("T", " ")
        level = "" if line.level == "INFO" else f"{line.level.lower()}: "
        show_text(f"{time}  {level}{line.message}")
    ended = f"{found.name}: {found.state or 'no state'} in Prefect"
    show_text(f"{ended}, flow run {found.flow_run_id}; times are UTC", style="dim")
