"""``headrace backfill``: a range of dates, each done once."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import UsageError
from headrace_flows.backfilling import dates, fill_in

Home = Any
QUICK = ("--set", "training.epochs=1", "--set", "gates=[]")
DAYS = ("--from", "2026-01-30", "--to", "2026-02-01")


def test_days_weeks_and_months_include_both_ends() -> None:
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


def test_runs_that_would_all_be_the_same_are_refused() -> None:
    said = fill_in(["data.source=/data/{date}.npz"], date(2026, 1, 5))
    assert said == ["data.source=/data/2026-01-05.npz"]
    with pytest.raises(UsageError, match="would be the same"):
        fill_in(["training.seed=2"], date(2026, 1, 5))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "today", "--to", "2026-02-01"), "--from 'today' is no date"),
        (("--from", "2026-02-02", "--to", "2026-02-01"), "is before"),
        (("--from", "2026-02-01", "--to", "2026-02-01", "--set", "x.y={date}"), "x"),
    ],
)
def test_a_wrong_range_or_field_is_told_before_anything_runs(
    home: Home, arguments: tuple[str, ...], said: str
) -> None:
    answer = home.headrace("backfill", "blobs", *arguments, "--json")
    assert answer.exit_code == 2
    assert said in answer.json["reason"]


@pytest.fixture
def by_date(
    home: Home, mlflow_database: Path, write_data: Callable[..., Path], tmp_path: Path
) -> str:
    """Data of three days; what stands for it in an override."""
    home.path.mkdir()
    (home.path / "format").write_text("1\n")
    shutil.copy(mlflow_database, home.path / "mlflow.db")
    for number, day in enumerate(["2026-01-30", "2026-01-31", "2026-02-01"]):
        write_data(tmp_path / f"{day}.npz", seed=number)
    return f"data.source={tmp_path}/{{date}}.npz"


@pytest.mark.integration
def test_what_is_done_is_not_done_again_and_one_failure_stops_no_other(
    home: Home, by_date: str, prefect_server: str, tmp_path: Path
) -> None:
    missing = tmp_path / "2026-01-31.npz"
    missing.rename(tmp_path / "away.npz")
    command = ("backfill", "blobs", *DAYS, "--set", by_date, *QUICK)
    first = home.headrace(*command, "--at-once", "2", "--json")
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


@pytest.mark.integration
def test_an_interrupted_one_goes_on_where_it_stopped(
    home: Home, by_date: str, prefect_server: str
) -> None:
    command = ("backfill", "blobs", *DAYS, "--set", by_date, *QUICK, "--json")
    process = home.start(*command, PREFECT_API_URL=prefect_server)
    assert process.stderr is not None
    for line in process.stderr:
        if "2026-01-30: registered" in line:
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert '"status": "cancelled"' in out
    answer = home.headrace(*command)
    assert answer.exit_code == 0, answer.err
    assert answer.json["counts"] == {"registered": 3}
    assert answer.json["runs"][0]["skipped"]
    assert not answer.json["runs"][2]["skipped"]
