"""``headrace tune``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from headrace.errors import Refusal
from headrace_cli.answers import JsonOption, answer, console, prepared
from headrace_cli.pipelines import DataOption, PipelineArgument, open_pipeline
from headrace_cli.summary import show_summary
from headrace_cli.tables import show_rows

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace_flows.tuning import Tuning

SHOWN = 5

SearchOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=RANGE",
        help='A field and its range: "training.learning_rate=log(1e-4,1)", '
        "uniform(0,0.99), int(16,512), choice(sgd,adam); several times. A plain value "
        "holds for all trials.",
    ),
]
TrialsOption = Annotated[
    int, typer.Option(min=1, max=10_000, help="How many there are in all.")
]
MetricOption = Annotated[
    str, typer.Option(help="What to minimise (val_loss) or maximise (val_accuracy).")
]


def tune(
    pipeline: PipelineArgument,
    overrides: SearchOption = None,
    trials: TrialsOption = 20,
    metric: MetricOption = "val_loss",
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search for the best values of some fields, then run with them."""
    from headrace.settings import Settings
    from headrace.use.tuning.space import parse_search
    from headrace_flows.run import Run
    from headrace_flows.tuning import Tuning

    settings = Settings()
    plain, space = parse_search(overrides or ())
    spec, folder = open_pipeline(pipeline, settings, plain, data)
    tuning = Tuning(Run(spec, folder, settings), space, metric, trials)
    prepared(settings)
    summary = tuning.find_finished()
    if summary is None:
        summary, exit_code = _run_flow(tuning, settings)
    else:
        exit_code = 1 if summary["status"] == "refused" else 0
    value = tuning.answer(summary)

    def show() -> None:
        _show(value)
        show_summary(summary, settings)

    answer(value, show, as_json=as_json, exit_code=exit_code)


def _run_flow(tuning: Tuning, settings: Settings) -> tuple[dict[str, Any], int]:
    from headrace.backend import load_backend
    from headrace_flows.preload import preload
    from headrace_flows.summary import conclude, failed
    from headrace_ops.run_server import server_for_run

    with server_for_run(settings) as server:
        try:
            preload(tuning.run)
        except Refusal as error:
            return failed(tuning.run, error)
        load_backend()
        from headrace_flows.tune import tune_here

        server.wait()
        state = tune_here(tuning, server.ui_url)
    return conclude(tuning.best or tuning.run, state)


def _show(value: dict[str, Any]) -> None:
    trials = value["trials"]
    if not trials:
        return
    states = [trial["state"] for trial in trials]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("completed", "pruned", "failed")
        if state in states
    )
    fitting = sum(trial["fit_seconds"] for trial in trials)
    console().print(
        f"\n[bold]{len(trials)} trials[/]: {counts}; {fitting:.1f} s of fitting",
        markup=True,
    )
    sign = 1 if value["direction"] == "minimize" else -1
    completed = [trial for trial in trials if trial["state"] == "completed"]
    completed.sort(key=lambda trial: sign * trial["value"])
    rows = [
        (
            *(trial["number"], f"{trial['value']:.4f}", *trial["overrides"].values()),
            *(trial["epochs"], f"{trial['fit_seconds']:.1f}"),
        )
        for trial in completed[:SHOWN]
    ]
    fields = trials[0]["overrides"]
    show_rows(rows, ["trial", value["metric"], *fields, "epochs", "s"])


COMMANDS = (tune,)
