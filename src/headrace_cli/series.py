"""``headrace tune`` and ``headrace backfill``: many runs of a pipeline."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from contextlib import nullcontext
from datetime import date, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Option

from headrace.display.progress import Progress
from headrace.display.signs import as_score, number_of
from headrace.errors import DependencyError, UsageError
from headrace_cli.answers import INTERRUPTED, answer, prepared, show_table, show_text
from headrace_cli.pipelines import DataOption, PipelineArgument, WorkersOption
from headrace_cli.summary import show_summary

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace_flows.backfilling import Backfill, BackfillTask
    from headrace_flows.summary import Summary
    from headrace_flows.tuning import Tuning
    from headrace_ops.run_server import RunServer

TRIALS_SHOWN = 5
_DATE = ["%Y-%m-%d"]  # 2026-01-31
Every = Literal["day", "week", "month"]


def tune(  # noqa: PLR0913
    pipeline: PipelineArgument,
    overrides: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="KEY=RANGE",
            help="A field and its range: log(1e-4,1), uniform(0,0.99), int(16,512), "
            "choice(sgd,adam); or a value for all trials.",
        ),
    ] = None,
    trials: Annotated[int, Option(min=1, max=10_000, help="In total.")] = 20,
    metric: Annotated[
        str, Option(help="What to minimise (val_loss) or maximise (val_accuracy).")
    ] = "val_loss",
    workers: WorkersOption = None,
    wave: Annotated[
        int, Option(min=1, help="Trials that do not know of each other's outcome.")
    ] = 4,
    data: DataOption = None,
) -> None:
    """Search for the best values of some fields, then run with them."""
    from headrace.pipeline.folders import open_pipeline
    from headrace.settings import Settings
    from headrace.use.tuning.space import parse_search
    from headrace_flows.run import run_of_file
    from headrace_flows.tuning import Tuning

    settings = Settings()
    plain, space = parse_search(overrides or ())
    spec, folder = open_pipeline(pipeline, settings, plain, data)
    run = run_of_file(spec, folder, settings)
    tuning = Tuning(run, space, metric, trials, workers or 0, wave)
    prepared(settings)
    summary, exit_code = tuning.find_finished() or _run_flow(tuning, settings)
    value = tuning.answer(summary)

    def show() -> None:
        _show_trials(value)
        show_summary(summary, settings)

    answer(value, show, exit_code)


def _run_flow(tuning: Tuning, settings: Settings) -> tuple[Summary, int]:
    from headrace_flows.calling import with_server

    def flow(server: RunServer) -> Any:
        from headrace.imports.backend import load_backend

        load_backend()
        from headrace_flows.tune import tune_here

        server.wait()
        return tune_here(tuning, server.ui_url)

    with tuning.opened():
        return with_server(tuning.run, settings, flow, lambda: tuning.best)


def _show_trials(value: dict[str, Any]) -> None:
    trials = value["trials"]
    if not trials:
        return
    states = Counter(trial["state"] for trial in trials)
    counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    seconds = sum(trial["seconds"] for trial in trials)
    show_text(
        f"\n[bold]{number_of(len(trials), 'trials')}[/]: {counts}; {seconds:.1f} s",
        markup=True,
    )
    completed = [trial for trial in trials if trial["state"] == "completed"]
    completed.sort(key=itemgetter("value"), reverse=value["direction"] != "minimize")
    rows = [
        (
            *(trial["number"], as_score(trial["value"]), *trial["overrides"].values()),
            *(trial["epochs"], f"{trial['seconds']:.1f}"),
        )
        for trial in completed[:TRIALS_SHOWN]
    ]
    show_table(rows, ["trial", value["metric"], *trials[0]["overrides"], "epochs", "s"])


def backfill(  # noqa: PLR0913
    pipeline: PipelineArgument,
    first: Annotated[datetime, Option("--from", formats=_DATE, help="As 2026-01-31.")],
    last: Annotated[datetime, Option("--to", formats=_DATE, help="It is included.")],
    overrides: Annotated[
        list[str] | None,
        Option(
            "--set",
            metavar="KEY=VALUE",
            help="As for run, where {date} is the date: data.source={date}.npz.",
        ),
    ] = None,
    every: Annotated[Every, Option(help="The step from one run to the next.")] = "day",
    workers: WorkersOption = None,
    promote: Annotated[
        bool, Option("--promote", help="Also promote, as headrace run does.")
    ] = False,
) -> None:
    """Run the train flow for a range of dates; each is done once.

    Versions are registered. The champion stays, unless --promote is given.
    """
    from headrace.stages.pieces import opened
    from headrace_flows.backfilling import Backfill, dates
    from headrace_ops.run_server import server_for_run

    started = time.perf_counter()
    settings = prepared()
    days = [*dates(first.date(), last.date(), every)]
    if not days:
        raise UsageError("--to is before --from.", "Give the earlier date first.")
    changes = overrides or []
    tasks = [_task(pipeline, day, changes, promote, settings) for day in days]
    numbers = itertools.count(1)

    def report(outcome: dict[str, Any]) -> None:
        result = f"{outcome['date']}: {_how(outcome)}, {outcome['reason']}"
        progress.update(next(numbers), result)

    work = Backfill(tasks, settings, report)
    left = work.left()
    is_interrupted = False
    if left:
        at_once = min(workers or 0, len(left))
        try:
            with (
                opened(settings, at_once) if at_once else nullcontext() as place,
                server_for_run(settings) as server,
                Progress("run", len(left), is_listed=True) as progress,
            ):
                server.wait()
                work.run(left, place)
        except KeyboardInterrupt:
            is_interrupted = True
    value, exit_code = _conclude(work, is_interrupted)
    value["seconds"] = round(time.perf_counter() - started, 3)
    answer(value, lambda: _show_backfill(value), exit_code)


def _task(
    pipeline: str, day: date, overrides: list[str], promotes: bool, settings: Settings
) -> BackfillTask:
    """The run of one date."""
    from headrace.pipeline.folders import open_pipeline
    from headrace.state.home import Home
    from headrace.use.backbones import pinned
    from headrace_flows.backfilling import BackfillTask, fill_in

    filled = fill_in(overrides, day)
    spec, folder = open_pipeline(pipeline, settings, filled)
    arguments = [part for text in filled for part in ("--set", text)]
    spec = pinned(spec, Home(settings))
    return BackfillTask(day.isoformat(), spec, folder, (pipeline, *arguments), promotes)


def _conclude(work: Backfill, is_interrupted: bool) -> tuple[dict[str, Any], int]:
    """The summary, and the exit code of the worst run."""
    runs = [
        work.outcomes.get(task.date, {"date": task.date, "status": "waiting"})
        for task in work.tasks
    ]
    counts = dict(Counter(run["status"] for run in runs))
    states = ", ".join(
        f"{n} {one}" for one, n in sorted(Counter(map(_how, runs)).items())
    )
    skipped = sum(bool(run.get("skipped")) for run in runs)
    codes = {run.get("exit_code", 0) for run in runs}
    if is_interrupted:
        status, exit_code = "cancelled", INTERRUPTED
    elif codes <= {0, 1}:
        status, exit_code = "done", max(codes)
    else:
        status, exit_code = "error", min(max(codes), DependencyError.exit_code)
    return {
        "pipeline": work.tasks[0].spec.name,
        "status": status,
        "reason": f"{len(runs)} dates: {states}; {skipped} of them were done before",
        "counts": counts,
        "skipped": skipped,
        "runs": runs,
    }, exit_code


def _how(run: dict[str, Any]) -> str:
    """How a run ended; of a refused one, also for what."""
    refused_for = run.get("refused_for")
    return f"refused for its {refused_for}" if refused_for else str(run["status"])


def _show_backfill(value: dict[str, Any]) -> None:
    rows = [
        (
            run["date"],
            _how(run) + ", before" * bool(run.get("skipped")),
            run.get("version"),
            ", ".join(as_score(run[k]) for k in run if k.startswith("test_")),
            run.get("reason"),
        )
        for run in value["runs"]
    ]
    show_table(rows, ["date", "", "version", "result", ""])
    show_text(f"{value['pipeline']}: {value['reason']}")
