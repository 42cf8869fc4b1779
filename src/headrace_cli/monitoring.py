"""``headrace monitor``: one window of items and answers against a version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from headrace.display.signs import as_score, number_of
from headrace.errors import UsageError
from headrace_cli import pipelines
from headrace_cli.answers import answer, marked, prepared, show_table, show_text
from headrace_cli.pipelines import DATA, column
from headrace_cli.summary import show_where_pages_open

if TYPE_CHECKING:
    from headrace.monitoring import MonitorRecord

_COLOURS = {"ok": "green", "degraded": "red"}
_SHOWN = 6


def monitor(  # noqa: PLR0913 (options)
    model: pipelines.ModelVersionArgument,
    data: Annotated[
        str | None,
        Option(metavar="URI", help=f"The window; else the request log. {DATA}"),
    ] = None,
    labels: Annotated[
        str | None,
        Option(help="A table with a column label, and request_id, item or name."),
    ] = None,
    since: Annotated[
        str | None,
        Option(help="Of the log: 24h, 7d, 2026-01-31 or a UTC time."),
    ] = None,
    rows: Annotated[int, Option(min=1, help="How many items, the newest.")] = 1000,
    text: Annotated[
        str | None, column("A table's column of items; by default it is found.")
    ] = None,
    label: Annotated[str | None, column("A table's column of labels.")] = None,
    labels_anew: Annotated[
        bool, Option("--labels-anew", help="Ignore earlier reports' labels.")
    ] = False,
) -> None:
    """Report drift of inputs and answers, and what it costs.

    A window of items is compared with the held-out rows of the version. Its
    performance is estimated where that is possible without labels, and measured where
    labels are there. Drift of inputs alone warns. The event headrace.drift is emitted
    where labels show that the champion lost performance, or where two of three windows
    drifted in their answers or with an estimated drop.
    Exit code 1 if labels show performance below its bound; 0 otherwise, also with
    drift or too few items.
    """
    from headrace.monitoring import MonitorOptions, WindowData, moment, watch_window
    from headrace_flows.events import drift_of, emit_from_command
    from headrace_flows.summary import with_pages

    if data is None and (text is not None or (label is not None and labels is None)):
        raise UsageError(
            "--text and --label name columns of a table: of --data, --label also of "
            "--labels.",
            "Leave them out, or give the table.",
        )
    if data is not None and since is not None:
        raise UsageError(
            "--since is for the request log: rows of data have no time.",
            "Leave it out, or give data of that time.",
        )
    watch = MonitorOptions(
        model=model,
        data=None if data is None else WindowData(data, text, label),
        labels=labels,
        label=label if labels is not None else None,
        since=None if since is None else moment(since),
        rows=rows,
        labels_anew=labels_anew,
    )
    settings = prepared()
    record = with_pages(watch_window(watch, settings), settings)
    if record.event and not emit_from_command(
        settings, "drift", record.model, **drift_of(record)
    ):
        note = "headrace.drift was not sent: no Prefect server took it (headrace up)"
        unsent = {"event": False, "notes": (*record.notes, note)}
        record = record.model_copy(update=unsent)
    refused = record.status == "degraded"
    answer(record.answer(), lambda: _show(record), int(refused))


def _show(record: MonitorRecord) -> None:
    colour = _COLOURS.get(record.status, "yellow")
    name = marked(f"{record.model} version {record.version}")
    show_text(f"[bold]{name}[/]  [{colour}]{record.status}[/]", markup=True)
    show_text(f"  {record.reason}")
    window = record.window
    left_out = {
        "repeated": window.repeats,
        "known to the version": window.own,
        "not decoded": window.failed,
    }
    others = "".join(f", {count:,} {why}" for why, count in left_out.items() if count)
    show_text(
        f"  window: {number_of(window.items, 'items')} of {window.source}{others}"
    )
    rows = [
        (
            shift.column,
            "answers" if shift in record.answers else "inputs",
            shift.severity,
            f"{shift.effect:.2f}",
            f"{shift.p_value:.2g}",
        )
        for shift in record.drifted[:_SHOWN]
    ]
    show_table(rows, ["column", "of", "drift", "effect", "p"])
    lines = [*_performance(record), *(f"note: {note}" for note in record.notes)]
    lines += ["emitted headrace.drift"] * record.event
    lines += [f"{name}: {link}" for name, link in record.links.items()]
    for line in lines:
        show_text(f"  {line}")
    show_where_pages_open({"mlflow": record.run_id}, record.links)


def _shown(one: Any, name: str) -> str:
    """A figure and its interval."""
    value, low, high = (as_score(getattr(one, n)) for n in (name, "low", "high"))
    return f"{value} ({low} to {high})"


def _performance(record: MonitorRecord) -> Iterator[str]:
    """The lines on performance."""
    estimate, labelled = record.estimate, record.labelled
    score = record.score.replace("_", " ")
    if estimate.valid:
        before = as_score(estimate.reference)
        without = f"{score} without labels {_shown(estimate, 'value')}"
        yield f"{without}, on held-out rows {before}"
    else:
        yield f"{score} cannot be estimated: {estimate.reason}"
    if labelled is not None:
        figure = f"{number_of(labelled.labels, 'labels')} {_shown(labelled, 'score')}"
        bound = as_score(labelled.bound)
        yield f"{score} by {figure}, bound {bound}, {labelled.origin}"
