"""What a look at a long ledger costs: divided by one at a short ledger, in pairs.

``python -m tests.benchmarks.looks SHORT LONG`` prints CPU and time of `list`,
`history`, `verify` of a model and one look of the watch in two homes from `ledgers`,
and the medians of what they are to each other. Before the first pair, each home is
looked at once, since the first look at a long ledger reads all of it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from headrace.evidence.watch import Watch
from headrace.settings import Settings
from headrace.state.ledger import Ledger

from .bench import HEADRACE, ROOT
from .measure import measure

MODEL = "pipeline-0000"
COMMANDS = {
    "list": ("list",),
    "list --json": ("list", "--json"),
    "history": ("history", MODEL, "--json"),
    "verify MODEL": ("verify", MODEL, "--json"),
}
LOOK = "look"

Took = dict[str, float]


def look(home: Path) -> Took:
    """What the second of two looks takes, with a row that was added in between."""
    settings = Settings(home=home)
    watch, took = Watch(settings), Took()
    for number in range(2):
        ledger = Ledger(settings.database_url)
        ledger.anchor({f"stages/look-{time.time()}-{number}.json": "0" * 64})
        started = time.perf_counter(), time.process_time()
        watch.look()
        ended = time.perf_counter(), time.process_time()
        took = {"wall": ended[0] - started[0], "cpu": ended[1] - started[1]}
    return took


def took(name: str, home: Path) -> Took:
    """Seconds of a command, or of a look, each in a process of its own."""
    environment = {**os.environ, "HEADRACE_HOME": str(home)}
    if name == LOOK:
        module, place = "tests.benchmarks.looks", str(home)
        command = [sys.executable, "-m", module, "--only", place, place, place]
        done = measure(command, environment, folder=ROOT)
        return dict(json.loads(done.stdout))
    done = measure([HEADRACE, *COMMANDS[name]], environment, folder=ROOT)
    return {"wall": done.wall_seconds, "cpu": done.cpu_seconds}


def main(
    short: Path,
    long: Path,
    repeats: int = 3,
    kinds: Annotated[list[str] | None, typer.Option(help="Only these.")] = None,
    only: Annotated[Path | None, typer.Option(hidden=True)] = None,
) -> None:
    """Print a JSON line for each kind of look."""
    if only is not None:
        sys.stdout.write(json.dumps(look(only)))
        return
    for name in kinds or (*COMMANDS, LOOK):
        pairs: list[tuple[Took, Took]] = [
            (took(name, short), took(name, long)) for _ in range(repeats + 1)
        ][1:]
        found: dict[str, Any] = {"look": name}
        for what in ("cpu", "wall"):
            ratios = [after[what] / before[what] for before, after in pairs]
            seconds = [[round(one[what], 2) for one in pair] for pair in pairs]
            found |= {what: round(median(ratios), 2), f"{what} seconds": seconds}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    typer.run(main)
