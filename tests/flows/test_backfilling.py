"""``headrace backfill``: a range of dates, each done once."""

import json
import shutil
import signal
import time
from datetime import date

import psutil
import pytest

from headrace.errors import UsageError
from headrace.pipeline import load_spec
from headrace.stages.pieces import opened
from headrace.stages.processes import processors
from headrace_cli.series import _conclude
from headrace_flows import backfilling
from headrace_flows.backfilling import (
    Backfill,
    BackfillTask,
    dates,
    fill_in,
    run_process,
)

QUICK = ("--set", "training.epochs=1", "--set", "gates=[]")
DAYS = ("--from", "2026-01-30", "--to", "2026-02-01")


def test_days_weeks_and_months_include_both_ends():
    first = date(2026, 1, 30)
    days = list(dates(first, date(2026, 2, 1), "day"))
    assert days == [date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1)]
    assert list(dates(first, date(2026, 2, 12), "week")) == [first, date(2026, 2, 6)]
    assert list(dates(first, date(2026, 4, 30), "month")) == [
        first,
        date(2026, 2, 28),
        date(2026, 3, 30),
        date(2026, 4, 30),
    ]
    assert list(dates(date(2025, 12, 31), date(2026, 1, 31), "month"))[1].year == 2026


def test_runs_that_would_all_be_the_same_are_refused():
    said = fill_in(["data.source=/data/{date}.npz"], date(2026, 1, 5))
    assert said == ["data.source=/data/2026-01-05.npz"]
    with pytest.raises(UsageError, match="would be the same"):
        fill_in(["training.seed=2"], date(2026, 1, 5))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "today", "--to", "2026-02-01"), "'--from': 'today' does not match"),
        (("--from", "2026-02-02", "--to", "2026-02-01"), "is before"),
        (("--from", "2026-02-01", "--to", "2026-02-01", "--set", "x.y={date}"), "x"),
    ],
)
def test_a_wrong_range_or_field_is_told_before_anything_runs(home, arguments, said):
    answer = home.headrace("backfill", "blobs", *arguments, "--json")
    assert answer.exit_code == 2
    assert said in answer.json["reason"]


@pytest.fixture
def by_date(home, mlflow_database, write_data, tmp_path):
    """Data of three days; what stands for it in an override."""
    home.path.mkdir()
    shutil.copy(mlflow_database, home.path / "mlflow.db")
    for number, day in enumerate(["2026-01-30", "2026-01-31", "2026-02-01"]):
        write_data(tmp_path / f"{day}.npz", seed=number)
    return f"data.source={tmp_path}/{{date}}.npz"


def test_what_is_done_is_not_done_again_and_one_failure_stops_no_other(
    home, by_date, prefect_server, tmp_path
):
    missing = tmp_path / "2026-01-31.npz"
    missing.rename(tmp_path / "away.npz")
    command = ("backfill", "blobs", *DAYS, "--set", by_date, *QUICK)
    first = home.headrace(*command, "--workers", "2", "--json")
    assert first.exit_code == 2, first.err
    assert first.json["counts"] == {"registered": 2, "error": 1}
    assert "2026-01-31.npz" in first.json["runs"][1]["reason"]
    (tmp_path / "away.npz").rename(missing)
    again = home.headrace(*command, "--json")
    assert again.exit_code == 0, again.err
    assert again.json["skipped"] == 2
    runs = again.json["runs"]
    assert [run["date"] for run in runs] == ["2026-01-30", "2026-01-31", "2026-02-01"]
    assert sorted(run["version"] for run in runs) == [1, 2, 3]
    assert len({run["weights_digest"] for run in runs}) == 3


def a_task(settings, project, day, *overrides):
    folder = project / "pipelines" / "blobs"
    source = f"data.source={str(folder / 'blobs.npz')!r}"
    spec = load_spec(folder, (source, *overrides))
    return BackfillTask(day, spec, folder, ("blobs",))


def failing(task):
    """Runs all dates but the first."""
    if task.date == "2026-01-30":
        return {"status": "error", "reason": "The disk is full.", "exit_code": 3}
    return {"status": "registered", "reason": "", "exit_code": 0}


def test_a_run_that_fails_ends_its_own_date_only(settings, project, monkeypatch):
    monkeypatch.setattr(backfilling, "run_process", failing)
    days = ("2026-01-30", "2026-01-31")
    tasks = [
        a_task(settings, project, day, f"training.seed={number}")
        for number, day in enumerate(days)
    ]
    told = []
    work = Backfill(tasks, settings, told.append)
    work.run(work.left())
    answer, exit_code = _conclude(work, is_interrupted=False)
    assert (answer["status"], exit_code, len(told)) == ("error", 3, 2)
    assert answer["counts"] == {"error": 1, "registered": 1}
    assert "disk is full" in answer["runs"][0]["reason"]
    assert [task.date for task in work.left()] == ["2026-01-30"]


def test_a_run_that_a_signal_has_ended_is_to_be_tried_again(
    settings, project, monkeypatch
):
    kill = "#!/bin/sh\nkill -9 $$\n"
    python = settings.home / "python"
    python.write_text(kill)
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    outcome = run_process(a_task(settings, project, "2026-01-30"))
    assert (outcome["status"], outcome["exit_code"]) == ("error", 3)
    assert outcome["reason"].startswith("it was killed by signal 9, perhaps by")


def test_no_more_run_at_once_than_there_are_processors(settings):
    with opened(settings, 1000) as place:
        assert place.at_once == processors(), "of this machine"


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_number_of_workers_below_one_is_refused(home, count):
    command = ("backfill", "blobs", *DAYS, "--workers", count, "--json")
    answer = home.headrace(*command)
    assert answer.exit_code == 2
    assert "--workers" in answer.json["reason"]


@pytest.mark.parametrize("ahead", [("--workers", "2"), ()], ids=["ahead", "one"])
def test_ctrl_c_ends_trainings_and_says_what_waits(
    home, by_date, prefect_server, ahead
):
    long = ("--set", "training.epochs=10000", "--set", "training.checkpoint_steps=9")
    process = home.start(
        *("backfill", "blobs", *DAYS, "--set", by_date, *long),
        *(*ahead, "--json"),
    )
    folder = home.path / "store" / "checkpoints"
    limit = time.monotonic() + 300
    while not any(folder.rglob("*.ckpt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    answer = json.loads(out)
    assert (answer["status"], answer["counts"]) == ("cancelled", {"waiting": 3})
    assert len(children) >= 1
    assert not psutil.wait_procs(children, timeout=10)[1]
