"""The commands that must answer at once."""

from __future__ import annotations

from statistics import median

from .bench import Bench, Unavailable, answer_of
from .machine import doubt
from .measure import Measured
from .report import Row, median_row

REPEATS = 7


def commands(bench: Bench) -> list[Row]:
    """``headrace --help`` and ``headrace list``, where a pipeline has run."""
    home = bench.new_home()
    fast = ("--set", "training.epochs=1", "--set", "gates=[]")
    answer_of(bench.headrace("run", "digits", "--json", *fast, home=home))
    seen: dict[str, list[Measured]] = {"--help": [], "list": []}
    for _ in range(REPEATS):
        for command, measured in seen.items():
            measured.append(bench.headrace(command, home=home))
    return [
        median_row(
            "commands",
            f"headrace {command}: wall",
            [m.wall_seconds for m in seen[command]],
            unit="s",
            at_least=at_least,
            aim=aim,
            parts={"CPU, s": median(m.cpu_seconds for m in seen[command])},
            note=doubt([m.surroundings for m in seen[command]]),
        )
        for command, at_least, aim in (("--help", 0.06, 0.05), ("list", 0.25, 0.2))
    ]


def tests(bench: Bench) -> list[Row]:
    """``make test``, once."""
    measured = bench.run(["make", "test"], bench.environment, [])
    if measured.exit_code:
        lines = measured.stdout.strip().splitlines() or ["no message"]
        raise Unavailable(f"tests failed: {lines[-1]}")
    return [
        median_row(
            "tests",
            "make test: wall",
            [measured.wall_seconds / 60],
            unit="min",
            at_least=3.0,
            aim=2.0,
            parts={"CPU, min": measured.cpu_seconds / 60},
            note=doubt([measured.surroundings]),
        )
    ]
