"""``headrace gate``: the gates of a pipeline, and a threshold for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from headrace.errors import UsageError
from headrace.signs import as_score
from headrace_cli.answers import answer, marked, one_line, show_rows, show_text
from headrace_cli.pipelines import PipelineArgument

if TYPE_CHECKING:
    from headrace.use.gating import Gates


def gate(
    pipeline: PipelineArgument,
    gate: Annotated[
        str | None, Argument(help="One of its gates, or a known one to add.")
    ] = None,
    value: Annotated[
        float | None, Argument(help="The threshold to write.", show_default=False)
    ] = None,
    suggested: Annotated[
        bool,
        Option(
            "--suggested",
            help="Write the thresholds that the intervals of the champion support.",
        ),
    ] = False,
) -> None:
    """Show the gates of a pipeline, or write a threshold into its file.

    A suggested threshold is the end of the metric's own interval: the lower one where
    the gate asks for at least so much, the upper one where it allows at most so much.
    """
    from headrace.settings import Settings
    from headrace.use import gating

    settings = Settings()
    if suggested and value is not None:
        raise UsageError(
            "VALUE and --suggested exclude each other.", "Give one of them."
        )
    if suggested:
        gates = gating.apply_supported(pipeline, gate or "", settings)
    elif gate is None:
        gates = gating.list_gates(pipeline, settings)
    elif value is None:
        raise UsageError(
            f"The gate {gate!r} is given without a value.",
            "Add the threshold, or --suggested.",
        )
    else:
        gates = gating.change_gate(pipeline, gate, value, settings)
    result = gates.model_dump() | {"status": "written" if gates.changed else "listed"}
    answer(result, lambda: _show(gates))


def _show(gates: Gates) -> None:
    name = marked(gates.pipeline)
    show_text(f"[bold]{name}[/]  {marked(gates.file)}", markup=True)
    for one in gates.changed:
        before = "added" if one.before is None else f"was {one.before:g}"
        show_text(f"  {one_line(one.name)} {one.after:g}, {before}")
    if gates.changed:
        show_text(f"  next: headrace run {gates.pipeline}")
        return
    head = ("", "threshold", f"version {gates.version or '-'}", "supported")
    rows = [
        (
            one_line(one.name),
            "" if one.threshold is None else f"{one.threshold:g}",
            as_score(one.value),
            as_score(one.supported),
        )
        for one in gates.gates
    ]
    show_rows([head, *rows])
    if any(g.supported is not None for g in gates.gates):
        show_text(f"  stricter: headrace gate {gates.pipeline} --suggested")
