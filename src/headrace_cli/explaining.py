"""``headrace explain``: which parts of an item speak for a model's answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Argument, Option

from headrace_cli import pipelines
from headrace_cli.answers import answer, prepared, show_rows, show_text

if TYPE_CHECKING:
    from headrace.use.explaining import ItemExplained

_SHOWN = 10


def explain(
    model: pipelines.ModelVersionArgument,
    item: Annotated[
        str,
        Argument(
            metavar="ITEM",
            help="A file; with --text the text itself; or the digest of an item of the "
            "test split, or its first 8 digits.",
        ),
    ],
    text: Annotated[bool, Option("--text", help="ITEM is the text itself.")] = False,
    output: Annotated[
        Path | None,
        Option(metavar="FILE", help="Draw the map over the item: a .png file."),
    ] = None,
    method: Annotated[
        Literal["gradients", "occlusion"] | None,
        Option(help="By default the first that passed its sanity check."),
    ] = None,
    unchecked: Annotated[
        bool,
        Option(
            "--unchecked",
            help="Also use a method that was not checked for this version.",
        ),
    ] = False,
) -> None:
    """Show which parts of an item speak for and against an answer."""
    from headrace.use.explaining import explain as explain_item

    explanation = explain_item(
        model,
        item,
        prepared(),
        is_text=text,
        output=output,
        method=method or "",
        unchecked=unchecked,
    )
    status = "ok" if explanation.method else "refused"
    reason = "" if explanation.method else _why_not(explanation)
    value = {"status": status, "reason": reason, **explanation.model_dump()}
    answer(value, lambda: _show(explanation, reason), int(status == "refused"))


def _why_not(explanation: ItemExplained) -> str:
    reasons = dict.fromkeys(one.reason for one in explanation.sanity.values())
    return f"Not explained: {'; '.join(reasons)}."


def _show(explanation: ItemExplained, reason: str) -> None:
    from headrace.explanations import METHODS

    name = f"{explanation.model} version {explanation.version}"
    show_text(f"{name} answers {explanation.words}")
    if reason:
        show_text(reason)
        return
    sanity = explanation.sanity[explanation.method]
    show_text(f"by {METHODS[explanation.method]}, in {explanation.unit}:")
    show_rows((f"{part.value:+.3g}", part.name) for part in explanation.parts[:_SHOWN])
    if explanation.completeness_error is not None:
        show_text(f"error of the sum: {explanation.completeness_error:.2%}")
    show_text(f"sanity check {sanity.status}: {sanity.reason}")
    if explanation.output:
        show_text(explanation.output)
