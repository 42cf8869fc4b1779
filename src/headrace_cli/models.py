"""The ledger's models and versions, as several commands name and show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.errors import NotFoundError
from headrace_cli.pipelines import complete_pipelines

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger, Version
    from headrace.tasks import Task

ModelArgument = Annotated[
    str,
    typer.Argument(
        help="A model: its pipeline's name.", autocompletion=complete_pipelines
    ),
]
ReasonOption = Annotated[str, typer.Option(help="Why; kept for ever.")]


def open_ledger() -> Ledger:
    """The ledger of the home, which is made if it is missing."""
    from headrace.settings import Settings
    from headrace.state.ledger import Ledger

    settings = Settings()
    settings.prepare_home()
    return Ledger(settings.database_url)


def no_version(model: str, ledger: Ledger) -> NotFoundError:
    """The error for a model that the ledger does not have."""
    known = ", ".join(ledger.models()) or "none"
    message = f"The model {model!r} has no version."
    return NotFoundError(message, f"Known models: {known}.")


def task_of(version: Version) -> Task:
    """The task of a version, from its description."""
    from headrace.records import DEFAULT_TASK
    from headrace.tasks import task

    return task(version.details.get("description", {}).get("task", DEFAULT_TASK))


def four_decimals(value: float | None) -> str:
    """A metric as text; empty where there is none."""
    return "" if value is None else f"{value:.4f}"
