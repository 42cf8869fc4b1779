"""The bench's own arithmetic; nothing here measures speed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from . import machine
from .measure import measure
from .report import Row, median_row, ratios


def test_a_row_is_the_median_and_is_judged_by_it() -> None:
    row = median_row("whole", "wall", ratios([2, 3, 9], [2, 4, 3]), at_least=1, aim=0.7)
    assert (row.value, row.verdict, row.samples) == (1.0, "kept", [1.0, 0.75, 3.0])


@pytest.mark.parametrize(
    ("value", "rising", "verdict"),
    [
        (0.7, False, "aim"),
        (0.9, False, "kept"),
        (1.1, False, "missed"),
        (0.6, True, "missed"),
    ],
)
def test_a_bound_holds_on_its_own_side(
    value: float, rising: bool, verdict: str
) -> None:
    bounds = (0.7, 1.0) if rising else (1.0, 0.7)
    row = Row("x", "x", value, at_least=bounds[0], aim=bounds[1], rising=rising)
    assert row.verdict == verdict


def test_others_are_what_neither_idle_nor_measured() -> None:
    load = (1.0, 1.0, 1.0)
    late = {7: ("editor", 4.0), 9: ("ours", 8.0)}
    before = machine.Moment(0.0, load, 100.0, 1.0, 5.0, {7: ("editor", 3.0)})
    after = machine.Moment(10.0, load, 112.0, 1.5, 5.5, late)
    seen = machine.surroundings(before, after, 8.0, {9})
    assert seen.other_cpu_seconds == 3.5
    assert seen.stolen_seconds == 0.5
    assert seen.busiest == {"editor (7)": 1.0}


def test_the_cpu_of_a_childs_child_is_counted(tmp_path: Path) -> None:
    burn = "import time; e = time.process_time() + {}\nwhile time.process_time() < e: 0"
    inner = f"{burn.format(0.3)}\n"
    outer = (
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {inner!r}], start_new_session=True)\n"
    )
    seen = measure([sys.executable, "-c", outer], {}, folder=tmp_path)
    assert seen.exit_code == 0
    assert seen.cpu_seconds >= 0.3
    assert len(seen.processes) == 2
    assert seen.peak_bytes > 1 << 20
    assert not seen.left_behind
