"""``headrace score``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.progress import Progress
from headrace_cli.answers import JsonOption, answer, prepared
from headrace_cli.pipelines import DATA, column_option, complete_pipelines

if TYPE_CHECKING:
    from headrace.use.scoring import ScoringRecord


def score(  # noqa: PLR0913 (options)
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A model, which means its champion, or MODEL/VERSION.",
            autocompletion=complete_pipelines,
        ),
    ],
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help=f"What to score, with or without labels. {DATA}",
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
        column_option(
            "A table's column of items; by default it is found and reported."
        ),
    ] = None,
    label: Annotated[
        str | None, column_option("A table's column of known answers.")
    ] = None,
    id_: Annotated[
        str | None,
        typer.Option(
            "--id", metavar="COLUMN", help="A table's column to keep, as `id`."
        ),
    ] = None,
    keep_text: Annotated[
        bool, typer.Option("--keep-text", help="Keep each text, as `text`.")
    ] = False,
    encoding: Annotated[
        str | None,
        typer.Option(help="Of the texts; by default it is recognised."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a batch: one row for each item, in their order."""
    from headrace.use import scoring

    settings = prepared()
    columns = scoring.ScoredColumns(text, label, id_, keep_text, encoding)
    with Progress("score", unit="items") as progress:
        record = scoring.score(
            model, source, output, settings, progress.update, columns
        )
    value = record.model_dump(exclude_none=True)
    metrics, seconds = value.pop("metrics"), value.pop("seconds")
    value |= {**metrics, "seconds": seconds}
    answer(value, _text(record), as_json=as_json)


def _text(record: ScoringRecord) -> str:
    failed = f", {record.failed:,} could not be decoded" if record.failed else ""
    metrics = "".join(
        f", {name.replace('_', ' ')} {value:.4f}"
        for name, value in record.metrics.items()
    )
    return (
        f"{record.model} version {record.version} scored {record.scored:,} of "
        f"{record.rows:,} items of {record.input} in {record.seconds:.1f} s{failed}"
        f"{metrics}\n{record.output}  (data digest {record.data_digest[:12]})"
    )


COMMANDS = (score,)
