"""``make bench``: measures every row, prints a table and writes a JSON file."""

from __future__ import annotations

import compileall
import contextlib
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from . import machine, report
from .bench import ROOT, Bench, Options, Unavailable
from .commands import commands, tests
from .data import find_data
from .reading import ingest
from .report import Row, missing_row
from .runs import Repetition, repetitions
from .sample import sample
from .scale import scale
from .serving import serving
from .whole import first, second, whole

OF_REPETITIONS: dict[str, Callable[[list[Repetition]], list[Row]]] = {
    "whole": whole,
    "first": first,
    "second": second,
}
ALONE: dict[str, Callable[[Bench], list[Row]]] = {
    "sample": sample,
    "ingest": ingest,
    "serving": serving,
    "scale": scale,
    "commands": commands,
    "tests": tests,
}
NAMES = (*OF_REPETITIONS, *ALONE)
QUICK = {"repeats": 1, "rows": 200_000}


def main(
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROW", help=f"One of {', '.join(NAMES)}; may be repeated."
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="mnist.npz; by default, where it is at hand.")
    ] = None,
    json_file: Annotated[Path, typer.Option("--json", help="Where to write.")] = Path(
        "bench.json"
    ),
    repeats: Annotated[int, typer.Option(min=1, help="Of each pair.")] = 5,
    rows: Annotated[
        int, typer.Option(min=20_000, help="Of the large data set.")
    ] = 4_000_000,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few minutes, for an overview.")
    ] = False,
) -> None:
    """Measure what Headrace costs; about an hour in all on two cores."""
    names = only or list(NAMES)
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        raise typer.BadParameter(f"{unknown[0]}: rows are {', '.join(NAMES)}")
    amounts = {"repeats": repeats, "rows": rows}
    amounts |= QUICK if quick else {}
    for folder in ("src", "flows"):
        compileall.compile_dir(ROOT / folder, quiet=1)
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        place = Path(folder)
        path, note = find_data(data, place)
        options = Options(path, note, **amounts)
        bench = Bench(options, place, Console(stderr=True))
        bench.say(f"rows {', '.join(names)}; data {path}  {note}".rstrip())
        started, described = time.perf_counter(), machine.describe(ROOT)
        measured: list[Row] = []
        is_whole = False
        with contextlib.suppress(KeyboardInterrupt):  # what there is by then is shown
            measured.extend(measure_rows(bench, names))
            is_whole = True
        answer = {
            "machine": described,
            "data": note or path.name,
            "amounts": amounts,
            "seconds": round(time.perf_counter() - started, 1),
            "rows": [row.as_json() for row in measured],
            "commands": [seen.as_json() for seen in bench.seen],
        }
    json_file.write_text(json.dumps(answer, indent=1, default=str) + "\n")
    console = Console(width=None if sys.stdout.isatty() else 110)
    report.show(measured, console)
    _show_machine(console, answer, bench)
    console.print(f"All of it, and each command measured: {json_file}", markup=False)
    if not is_whole:
        raise typer.Exit(128 + signal.SIGINT)


def measure_rows(bench: Bench, names: list[str]) -> Iterator[Row]:
    """The rows with these names; one that cannot be had says why."""
    wanted = [name for name in OF_REPETITIONS if name in names]
    try:
        runs = repetitions(bench) if wanted else []
        for name in wanted:
            yield from OF_REPETITIONS[name](runs)
    except Unavailable as error:
        yield missing_row(", ".join(wanted), "the runs failed", str(error))
    for name, measure in ALONE.items():
        if name in names:
            bench.say(f"{name} ...")
            try:
                yield from measure(bench)
            except Unavailable as error:
                yield missing_row(name, "it failed", str(error))


def _show_machine(console: Console, answer: dict[str, Any], bench: Bench) -> None:
    about = answer["machine"]
    shares = [seen.surroundings.other_share for seen in bench.seen]
    stolen = sum(seen.surroundings.stolen_seconds for seen in bench.seen)
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    for line in (
        f"{about['processor']}, {about['usable_cores']} of {about['cores']} cores, "
        f"{about['memory_bytes'] / 2**30:.0f} GiB; {about['system']}",
        f"Python {about['python']}, {versions}",
        f"Others took up to {max(shares, default=0):.0%} of the machine during a "
        f"measured command, and its host {stolen:.1f} s; "
        f"load was {about['load_average'][0]:.1f} at the start.",
    ):
        console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM):  # either way, what runs is ended
        signal.signal(number, signal.default_int_handler)
    typer.run(main)
