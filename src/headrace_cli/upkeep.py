"""``headrace verify``, ``reproduce`` and ``migrate``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from headrace.errors import UsageError
from headrace.signs import number_of
from headrace_cli.answers import (
    answer,
    begin,
    marked,
    prepared,
    show_rows,
    show_text,
)

if TYPE_CHECKING:
    from headrace.evidence.repair import Repair
    from headrace.evidence.reproduction import Reproduction
    from headrace.evidence.verification import Verification
    from headrace.retention.migration import Destination, Migration
    from headrace.settings import Settings

DIFFERENCES_SHOWN = 12
WIDTH = 40


def verify(
    name: Annotated[
        str,
        Argument(
            metavar="MODEL|FILE",
            help="A model, MODEL/VERSION, or the file of a bundle; by default "
            "everything.",
        ),
    ] = "",
    repair: Annotated[
        bool,
        Option(
            "--repair",
            help="First restore what is lost of champions and newest versions; of a "
            "model that is named, restore or retrain it.",
        ),
    ] = False,
    head: Annotated[
        str,
        Option(
            metavar="LINK",
            help="The chain head that an earlier `verify --json` printed; it must "
            "still be in the chain.",
        ),
    ] = "",
) -> None:
    """Check that all is as recorded, or check a bundle.

    That is the ledger, the store, models and MLflow. A bundle needs no home and no
    network; its signature is checked with the key of HEADRACE_VERIFY_KEY_FILE.
    --repair restores the files of a version from the store, or trains it again from its
    record.
    """
    from headrace.evidence import verification
    from headrace.state.ledger.rows import model_of

    settings = begin()
    if _is_file(name) and repair:
        raise UsageError(
            f"{name} is a file, and --repair is for what a home has.",
            "Name a model, or leave --repair out.",
        )
    if _is_file(name):
        from headrace.evidence.bundling.checking import check_bundle

        bundle = check_bundle(Path(name), settings)
        text = f"bundle  {bundle.status}\n  {bundle.reason}"
        answer(bundle.model_dump(mode="json"), text, int(bundle.status != "ok"))
        return
    repairs = _repair(name, settings) if repair else []
    result = verification.verify(settings, model_of(name), head)
    value = result.model_dump(mode="json")
    if repair:
        value["repairs"] = [one.model_dump() for one in repairs]

    def show() -> None:
        for one in repairs:
            status = "intact" if one.status == "sound" else one.status
            show_text(f"{one.model} version {one.version}: {status}\n  {one.reason}")
        _show_verification(result)

    is_whole = result.status == "ok" and all(one.is_sound for one in repairs)
    answer(value, show, int(not is_whole))


def _repair(name: str, settings: Settings) -> list[Repair]:
    """Repair a version, or the champions and newest versions that need it."""
    from headrace.evidence.repair import repair, repair_all
    from headrace.state.home import Home

    Home.existing(settings, f"model {name!r}" if name else "ledger to verify")
    prepared = settings.prepare_home()
    return [repair(name, prepared)] if name else repair_all(prepared)


def _is_file(name: str) -> bool:
    """Whether a name is that of a file and not of a model."""
    return Path(name).is_file() or name.endswith(".tar")


def _show_verification(result: Verification) -> None:
    mark = "[green]ok[/]" if result.status == "ok" else "[red]broken[/]"
    show_text(f"[bold]verify[/]  {mark}  in {result.seconds:.1f} s", markup=True)
    show_text(f"  {result.reason}")
    rows, head = result.chain["rows"], result.chain["head"]
    show_text(f"  ledger: {number_of(rows, 'rows')}; last link {head or 'none'}")
    for kind, count in result.missing.items():
        show_text(f"  no longer there: {number_of(count, kind)}")
    for kind, count in result.collected.items():
        show_text(f"  collected by headrace gc: {number_of(count, kind)}")
    for split, count in result.forgotten.items():
        show_text(
            f"  forgotten by headrace forget: {number_of(count, f'{split} rows')}"
        )


def reproduce(
    run: Annotated[
        str,
        Argument(
            metavar="RUN",
            help="An MLflow run's id or how it begins, MODEL@champion or "
            "MODEL/VERSION.",
        ),
    ],
) -> None:
    """Train again from a run's record, and compare the weights."""
    from headrace.evidence import reproduction

    result = reproduction.reproduce(run, begin())
    exit_code = int(result.status != "same")
    answer(result.model_dump(), lambda: _show_reproduction(result), exit_code)


def _show_reproduction(result: Reproduction) -> None:
    same, differences = result.status == "same", result.differences
    mark = "[green]same[/] weights" if same else "[red]different[/] weights"
    show_text(
        f"[bold]{marked(result.pipeline)} run {result.run_id[:12]}: {mark}[/] "
        f"in {result.seconds:.1f} s",
        markup=True,
    )
    show_text(f"  {result.reason}")
    show_text(f"  recorded    {result.weights_digest.recorded}")
    if not same:
        show_text(f"  reproduced  {result.weights_digest.reproduced}")
    rows = [(d.kind, d.name, *map(_shorten, (d.then, d.now))) for d in differences]
    if rows:
        show_rows(rows[:DIFFERENCES_SHOWN], ["", "", "then", "now"])
    if len(rows) > DIFFERENCES_SHOWN:
        show_text(f"  and {len(rows) - DIFFERENCES_SHOWN} more; --json has all")


def _shorten(value: str) -> str:
    return (value or "none") if len(value) <= WIDTH else f"{value[:WIDTH]}..."


def migrate(
    to: Annotated[
        Path | None, Option(metavar="DIR", help="A new folder for the home.")
    ] = None,
    postgres: Annotated[
        bool,
        Option(
            "--postgres", help="From SQLite files to a PostgreSQL in the home itself."
        ),
    ] = False,
    database_url: Annotated[
        str, Option(metavar="URL", help="Another database for the ledger.")
    ] = "",
    tracking_uri: Annotated[
        str, Option(metavar="URL", help="Another database for MLflow.")
    ] = "",
    store: Annotated[
        str,
        Option(
            metavar="URI",
            help="Another store, such as s3://bucket/folder, or a folder.",
        ),
    ] = "",
    check: Annotated[
        bool, Option("--check", help="Say what would be moved; change nothing.")
    ] = False,
) -> None:
    """Move the home's state to other databases or places, verified."""
    from headrace.retention.migration import Destination, migrate
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
    answer(migration.model_dump(mode="json"), lambda: _show_migration(migration))


@contextlib.contextmanager
def _filled(
    settings: Settings, place: Destination, postgres: bool, check: bool
) -> Iterator[Destination]:
    """The destination, with the databases of the home's own PostgreSQL if asked for."""
    from headrace.databases import POSTGRES_FOLDER, postgres_url
    from headrace_ops.postgres import migration_target

    if not postgres:
        yield place
        return
    socket = contextlib.nullcontext(str(settings.home.absolute() / POSTGRES_FOLDER))
    with socket if check else migration_target(settings) as folder:
        yield replace(
            place,
            database_url=postgres_url(folder, "headrace"),
            tracking_uri=postgres_url(folder, "mlflow"),
            in_home=True,
        )


def _show_migration(migration: Migration) -> None:
    verb = "would go" if migration.status == "ready" else "went"
    for part in migration.parts:
        show_text(f"{part.name:<10}{part.source} {verb} to {part.target}")
    show_text(migration.reason)
    if migration.status == "ready":
        return
    if not migration.environment:
        show_text("From now on start it with `headrace up`.")
        return
    show_text("The old places are as they were. Set these from now on:")
    for name, value in migration.environment.items():
        show_text(f"  export {name}={value}")
