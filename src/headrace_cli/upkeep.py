"""``headrace verify`` and ``reproduce``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from headrace.display.signs import number_of
from headrace.errors import UsageError
from headrace_cli.answers import answer, begin, marked, show_table, show_text

if TYPE_CHECKING:
    from headrace.evidence.repair import Repair
    from headrace.evidence.reproduction import Reproduction
    from headrace.evidence.verification import Verification
    from headrace.settings import Settings

DIFFERENCES_SHOWN = 12
WIDTH = 40


def verify(
    name: Annotated[
        str,
        Argument(metavar="MODEL|FILE", help="Or MODEL/VERSION; else everything."),
    ] = "",
    repair: Annotated[
        bool, Option("--repair", help="First restore what is lost of champions.")
    ] = False,
    head: Annotated[
        str, Option(metavar="LINK", help="An earlier last link; it must be there.")
    ] = "",
) -> None:
    """Check that all is as recorded, or check a bundle.

    That is the ledger, the store, models and MLflow. A bundle needs no home and no
    network; its signature is checked with the key of HEADRACE_VERIFY_KEY_FILE.
    --repair restores the files of champions and newest versions, or of the version that
    is named, from the store's copy.
    """
    from headrace.evidence import verification
    from headrace.state.ledger.records import model_of

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
        show_text(f"  deleted by headrace gc or forget: {number_of(count, kind)}")


def reproduce(
    run: Annotated[
        str,
        Argument(metavar="RUN", help="An MLflow run's id, MODEL or MODEL/VERSION."),
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
        show_table(rows[:DIFFERENCES_SHOWN], ["", "", "then", "now"], "  ")
    if len(rows) > DIFFERENCES_SHOWN:
        show_text(f"  and {len(rows) - DIFFERENCES_SHOWN} more; --json has all")


def _shorten(value: str) -> str:
    return (value or "none") if len(value) <= WIDTH else f"{value[:WIDTH]}..."
