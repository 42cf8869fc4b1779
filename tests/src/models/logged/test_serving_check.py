"""A clean process answers as the trained model did, or says what is wrong."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import DependencyError
from headrace.models.logged import serving_check
from headrace.models.logged.serving_check import (
    TOLERANCE,
    Request,
    ServingCheck,
    measure,
)
from headrace.state.tracking import GOLDEN_FILE, Tracking

Trained = Any


@pytest.fixture
def request_(trained: Trained, tmp_path: Path) -> Request:
    """The good training with its two files."""
    tracking = Tracking(trained.settings)
    request = Request(
        training=trained.good,
        model=tmp_path / "model.keras",
        golden=tmp_path / "golden.npz",
    )
    request.golden.write_bytes(tracking.run_file(trained.good.run_id, GOLDEN_FILE))
    place = tracking.model_file(trained.good.model_uri, trained.good.model_digest)
    with place as file:
        request.model.write_bytes(file.read_bytes())
    return request


def test_a_model_measured_beside_its_golden_answers_agrees(request_: Request) -> None:
    report = measure(request_)
    assert report.difference is not None
    assert report.difference <= TOLERANCE
    assert report.latency_ms is not None
    assert 0 < report.latency_ms < 5000
    assert report.error == ""


def test_golden_answers_of_another_model_are_seen(
    request_: Request, trained: Trained
) -> None:
    weak = trained.weak
    golden = Tracking(trained.settings).run_file(weak.run_id, GOLDEN_FILE)
    request_.golden.write_bytes(golden)
    update = {"golden_digest": weak.golden_digest}
    mixed = request_.model_copy(
        update={"training": trained.good.model_copy(update=update)}
    )
    report = measure(mixed)
    assert report.difference is not None
    assert report.difference > 0.1


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("golden", r"golden\.npz of run .* was changed"),
        ("model", r"the file of models:/m-.* was changed"),
    ],
)
def test_a_changed_file_is_reported(request_: Request, name: str, error: str) -> None:
    file: Path = getattr(request_, name)
    file.write_bytes(file.read_bytes() + b"\0")
    report = measure(request_)
    assert report.difference is None
    assert re.search(error, report.error)


def test_the_clean_process_reports_what_is_wrong(request_: Request) -> None:
    """A good one was checked in the same way when the home was made."""
    request_.golden.write_bytes(request_.golden.read_bytes() + b"\0")
    with ServingCheck([request_]) as started:
        (report,) = started.results()
    assert "golden.npz" in report.error
    assert report.difference is None


def test_a_crash_is_no_verdict(request_: Request) -> None:
    with ServingCheck([request_]) as started:
        os.kill(started._process.pid, signal.SIGKILL)
        with pytest.raises(DependencyError, match="ended with -9: no message"):
            started.results()


def test_a_process_that_hangs_is_no_verdict(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving_check, "TIMEOUT_SECONDS", 0.5)
    with ServingCheck([request_]) as started:
        os.kill(started._process.pid, signal.SIGSTOP)
        with pytest.raises(DependencyError, match=r"did not answer within 0\.5 s"):
            started.results()
    assert started._process.returncode == -signal.SIGKILL


def test_a_check_that_is_left_leaves_no_process(request_: Request) -> None:
    with ServingCheck([request_]) as started:
        process = started._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_it_ends_when_its_parent_is_killed(request_: Request, tmp_path: Path) -> None:
    """Held up by a named pipe in place of its model, it would wait for ever."""
    request_.model.unlink()
    os.mkfifo(request_.model)
    code = (
        "import sys, time; from pathlib import Path;"
        "from headrace.models.logged.serving_check import Request, ServingCheck;"
        "r = Request.model_validate_json(sys.stdin.read());"
        "c = ServingCheck([r]);"
        "print(c._process.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    parent.stdin.write(request_.model_dump_json().encode())
    parent.stdin.close()
    process = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    limit = time.monotonic() + 600
    while time.monotonic() < limit and _runs(process):
        time.sleep(0.05)
    assert not _runs(process)


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
