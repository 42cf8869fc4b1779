"""``headrace score``."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from headrace_cli.answers import JsonOption, console, print_json, show_progress
from headrace_cli.registry import ModelArgument

if TYPE_CHECKING:
    from headrace.use.scoring import ScoringRecord

log = logging.getLogger("headrace")

SECONDS_BETWEEN_LINES = 5


def score(
    model: ModelArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="What to score, with or without labels: an .npz or .npy, IDX files, "
            "Parquet, an image, a folder or archive of images; a path, any fsspec URI, "
            "or library:name.",
        ),
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", help="A .csv or .parquet file: a path or any fsspec URI."
        ),
    ],
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            metavar="COLUMN",
            help="A table's column of items; without it, the one found is told.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--label", metavar="COLUMN", help="A table's column of known answers."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a batch with the champion: one row an item, in the input's order."""
    from headrace.settings import Settings
    from headrace.use import scoring

    settings = Settings()
    settings.prepare_home()
    show_progress()
    answer = scoring.score(
        model, source, output, settings, _now_and_then(), item=text, label=label
    )
    if as_json:
        found = answer.model_dump(exclude_none=True)
        print_json({**found.pop("metrics"), **found})
    else:
        _show(answer)


def _now_and_then() -> Callable[[int], None]:
    """A log line every few seconds."""
    last = time.monotonic()

    def said(rows: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log.info("score: %s items", f"{rows:,}")

    return said


def _show(answer: ScoringRecord) -> None:
    failed = f", {answer.failed:,} could not be decoded" if answer.failed else ""
    right = "".join(
        f", {name.replace('_', ' ')} {value:.4f}"
        for name, value in answer.metrics.items()
    )
    console().print(
        f"{answer.model} version {answer.version} scored {answer.scored:,} of "
        f"{answer.rows:,} items of {answer.input} in {answer.seconds:.1f} s{failed}"
        f"{right}",
        markup=False,
    )
    digest = f"data digest {answer.data_digest[:12]}"
    console().print(f"{answer.output}  ({digest})", markup=False)


COMMANDS = (score,)
