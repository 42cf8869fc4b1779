"""``headrace score``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from headrace.progress import Progress
from headrace_cli.answers import answer, prepared
from headrace_cli.pipelines import DATA, ModelVersionArgument, column

if TYPE_CHECKING:
    from headrace.use.scoring import ScoringRecord


def score(  # noqa: PLR0913 (options)
    model: ModelVersionArgument,
    source: Annotated[
        str,
        Argument(
            metavar="INPUT",
            help=f"What to score, with or without labels. {DATA}",
        ),
    ],
    output: Annotated[
        str,
        Argument(
            metavar="OUTPUT", help="A .csv or .parquet file: a path or any fsspec URI."
        ),
    ],
    text: Annotated[
        str | None,
        column("A table's column of items; by default it is found and reported."),
    ] = None,
    label: Annotated[str | None, column("A table's column of known answers.")] = None,
    id_: Annotated[
        str | None,
        Option("--id", metavar="COLUMN", help="A table's column to keep, as `id`."),
    ] = None,
    keep_text: Annotated[
        bool, Option("--keep-text", help="Keep each text, as `text`.")
    ] = False,
    encoding: Annotated[
        str | None, Option(help="Of the texts; by default it is recognised.")
    ] = None,
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
    answer(value, _text(record))


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
