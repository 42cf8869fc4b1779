"""The error rates of monitoring, by simulation on the packaged digits."""

from __future__ import annotations

import json
import sys

from .bench import Bench, Unavailable, answer_of
from .report import Row

TOLD = ("noise 10", "blur 0.5", "rotation 10", "shift right 2")


def monitoring(bench: Bench) -> list[Row]:
    """False alarms, power, and how many labels show a loss."""
    home = bench.new_home()
    answer_of(bench.headrace("run", "digits", "--json", home=home))
    windows = 2000 if bench.options.repeats > 1 else 200
    command = [
        sys.executable,
        "-m",
        "tests.benchmarks.drift",
        "digits/1",
        "--json",
        "--windows",
        str(windows),
    ]
    measured = bench.run(command, bench.environment_of(home, None), [])
    if measured.exit_code:
        raise Unavailable(measured.stderr[-300:])
    found = json.loads(measured.stdout.splitlines()[-1])
    labels, power = found["labels"], found["power"]
    rows = [
        Row("drift", f"false alarms in {windows:,} windows", found["alarms"], "", 0.06),
        Row("drift", "false alarms of late labels", labels["alarms"], "", 0.05),
        Row("drift", "labels that show a loss of 10 points", labels["median"], "", 70),
        Row("drift", "the same, 90th percentile", labels["late"], "", 180),
    ]
    for shift in TOLD:
        what = f"windows of 200 that tell {shift}"
        rows.append(Row("drift", what, power[shift], "", 0.9, rising=True))
    return rows
