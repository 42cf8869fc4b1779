"""The bench's own arithmetic; nothing here measures speed."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from . import machine
from .bench import Unavailable, read_answer
from .data import find_data
from .images import vary, write_images
from .measure import Measured, measure, role
from .reading import BOUNDS, KINDS
from .report import Row, median_row, missing_row, ratios
from .sample import IMPORT, in_imports
from .scale import stage_rates
from .tuning import overheads
from .whole import step_flops


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


def test_a_row_without_a_figure_keeps_no_bound() -> None:
    assert missing_row("x", "x", "why", at_least=1).verdict == "not available"
    assert Row("x", "x", 1.0).verdict == "measured"


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [((10.0, 12.0, 11.0), "kept"), ((11.0, 12.0, 11.0), "missed")],
)
def test_a_run_is_a_multiple_of_the_import_beside_it(
    seconds: tuple[float, ...], verdict: str
) -> None:
    def took(wall: float) -> Measured:
        quiet = machine.Surroundings(0.0, 0.0, 0.0, 0.0, 0.0, {})
        return Measured([], 0, wall, 2 * wall, 0.0, [], [], quiet, '{"stages": []}', "")

    imports = [took(4.0), took(5.0), took(4.0)]
    seen = {IMPORT: imports, "first": [took(wall) for wall in seconds]}
    row = in_imports("first run", seen, "first", at_least=2.6)
    assert row.samples == [seconds[0] / 4, 2.4, 2.75]
    assert row.verdict == verdict
    assert row.parts["an import, s"] == 4.0
    cpu = in_imports("first run", seen, "first", field="cpu_seconds")
    assert (cpu.samples, cpu.parts["an import, s"]) == (row.samples, 8.0)


def test_bounds_are_of_kinds_of_files_that_are_read() -> None:
    assert BOUNDS.keys() < KINDS.keys()


def test_the_steps_operations_are_counted_by_hand() -> None:
    forward = 3 * 4 + 4 * 2
    weights, inputs = 3 * 4 + 4 * 2, 4 * 2
    assert step_flops((3, 4, 2), 5) == 2 * 5 * (forward + weights + inputs)


def test_rates_are_of_the_rows_that_a_stage_reads() -> None:
    stages = {"ingest": 2.0, "validate": 1.0, "train": 4.0, "evaluate": 5.0}
    rates = stage_rates(stages, {"train": 80, "val": 10, "test": 10}, 2.0)
    assert rates == {"ingest": 50, "validate": 100, "epoch": 40, "evaluate": 2}


def test_what_a_trial_adds_is_not_fitting() -> None:
    assert overheads([{"seconds": 3.0, "fit_seconds": 2.5}]) == [0.5]


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


def test_processes_are_known_by_what_they_do() -> None:
    python = "/venv/bin/python"
    guard = [python, "-m", "headrace_ops.guard"]
    assert role([*guard, python, "-m", "headrace_ops.run_server", "4200"]) == "server"
    assert role([python, "headrace", "run"], "prefect-server") == "server"
    assert role([python, "-c", "from multiprocessing.spawn import x"]) == "worker"
    assert (
        role([python, "-m", "headrace.models.logged.loading"])
        == "python -m headrace.models.logged.loading"
    )


def test_an_answer_that_is_none_says_why() -> None:
    assert read_answer(1, '{"status": "refused"}', "") == {"status": "refused"}
    with pytest.raises(Unavailable, match="exit code 2: no such command"):
        read_answer(2, "", "no such command\n")


def test_images_are_the_same_each_time_and_differ_from_each_other(
    tmp_path: Path,
) -> None:
    digits = np.zeros((10, 28, 28), np.uint8), np.arange(10, dtype=np.uint8)
    digits[0][:, 8:20, 8:20] = 200
    paths = [write_images(tmp_path / name, 400, digits) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with zipfile.ZipFile(paths[0]) as archive:
        assert {i.compress_type for i in archive.infolist()} == {zipfile.ZIP_STORED}
    with np.load(paths[0]) as arrays:
        images, labels = arrays["x_train"], arrays["y_train"]
        assert images.shape == (390, 28, 28)
        assert arrays["x_test"].shape == (10, 28, 28)
    assert images.dtype == labels.dtype == np.uint8
    assert len(np.unique(images.reshape(390, -1), axis=0)) == 390
    assert set(labels) == set(range(10))


def test_an_image_moves_by_no_more_than_two_pixels() -> None:
    dot = np.zeros((50, 28, 28), np.uint8)
    dot[:, 14, 14] = 255
    moved = np.argwhere(vary(dot, np.random.default_rng(0)))
    assert len(moved) == 50
    assert np.abs(moved[:, 1:] - 14).max() == 2


def test_data_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no file .*missing\.npz"):
        find_data(tmp_path / "missing.npz", tmp_path)
