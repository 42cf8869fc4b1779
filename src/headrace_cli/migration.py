"""``headrace migrate``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from headrace.errors import UsageError
from headrace_cli.answers import JsonOption, answer, console, prepared

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.use.migration import Destination, Migration


def migrate(  # noqa: PLR0913
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A new folder for the home.")
    ] = None,
    postgres: Annotated[
        bool,
        typer.Option(
            "--postgres", help="From SQLite files to a PostgreSQL in the home itself."
        ),
    ] = False,
    database_url: Annotated[
        str, typer.Option(metavar="URL", help="Another database for the ledger.")
    ] = "",
    tracking_uri: Annotated[
        str, typer.Option(metavar="URL", help="Another database for MLflow.")
    ] = "",
    store: Annotated[
        str,
        typer.Option(
            metavar="URI",
            help="Another store, such as s3://bucket/folder, or a folder.",
        ),
    ] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Say what would be moved; change nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Move the home's state to other databases or places, verified."""
    from headrace.use.migration import Destination, migrate
    from headrace_ops.live import only_one

    if ":/" in str(to or ""):
        raise UsageError(
            f"--to is a folder of this machine, not {str(to)!r}.",
            "Name an object store with --store.",
        )
    if postgres and (to or database_url or tracking_uri):
        raise UsageError(
            "--postgres leaves the home where it is, and its databases in it.",
            "Leave --to, --database-url and --tracking-uri out, or migrate twice.",
        )
    settings = prepared()
    place = Destination(
        home=to.expanduser().absolute() if to else None,
        store=store if "://" in store or not store else str(Path(store).absolute()),
        database_url=database_url,
        tracking_uri=tracking_uri,
    )
    with only_one(settings), _filled(settings, place, postgres, check) as destination:
        migration = migrate(settings, destination, only_check=check)
    value = migration.model_dump(mode="json")
    answer(value, lambda: _show(migration), as_json=as_json)


@contextlib.contextmanager
def _filled(
    settings: Settings, place: Destination, postgres: bool, check: bool
) -> Iterator[Destination]:
    """The destination, with the databases of the home's own PostgreSQL if asked for."""
    from headrace.settings import postgres_url
    from headrace_ops.postgres import FOLDER, migration_target

    if not postgres:
        yield place
        return
    socket = contextlib.nullcontext(str(settings.home.absolute() / FOLDER))
    with socket if check else migration_target(settings) as folder:
        yield replace(
            place,
            database_url=postgres_url(folder, "headrace"),
            tracking_uri=postgres_url(folder, "mlflow"),
            in_home=True,
        )


def _show(migration: Migration) -> None:
    out = console()
    verb = "would go" if migration.status == "ready" else "went"
    for part in migration.parts:
        out.print(
            f"{part.name:<10}{part.source} {verb} to {part.target}", soft_wrap=True
        )
    out.print(migration.reason, soft_wrap=True)
    if migration.status == "ready":
        return
    if not migration.environment:
        out.print("From now on start it with `headrace up`.")
        return
    out.print("The old places are as they were. Set these from now on:")
    for name, value in migration.environment.items():
        out.print(f"  export {name}={value}", soft_wrap=True)


COMMANDS = (migrate,)
