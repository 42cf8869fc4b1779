"""A clean process answers as the trained model did, or says what is wrong."""

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
    CheckRequest,
    ServingCheck,
    ServingReport,
    measure,
)
from headrace.records import SERVING_TOLERANCE
from headrace.state.tracking import GOLDEN_FILE, Tracking

Trained = Any

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("cold")]


@pytest.fixture
def request_(trained, tmp_path):
    """The good training with its two files."""
    tracking = Tracking(trained.settings)
    request = CheckRequest(
        training=trained.good,
        model=tmp_path / "model.keras",
        golden=tmp_path / "golden.npz",
    )
    request.golden.write_bytes(tracking.run_file(trained.good.run_id, GOLDEN_FILE))
    place = tracking.model_file(trained.good.model_uri, trained.good.model_digest)
    with place as file:
        request.model.write_bytes(file.read_bytes())
    return request


def test_a_model_measured_beside_its_golden_answers_agrees(request_):
    report = measure(request_)
    assert report.difference is not None
    assert report.difference <= SERVING_TOLERANCE
    assert report.latency_ms is not None
    assert 0 < report.latency_ms < 5000
    assert report.error == ""


def test_golden_answers_of_another_model_are_seen(request_, trained):
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
def test_a_changed_file_is_reported(request_, name, error):
    file = getattr(request_, name)
    file.write_bytes(file.read_bytes() + b"\0")
    report = measure(request_)
    assert report.difference is None
    assert re.search(error, report.error)


def test_the_clean_process_reports_what_is_wrong(request_):
    """A good one was checked in the same way when the home was made."""
    request_.golden.write_bytes(request_.golden.read_bytes() + b"\0")
    with ServingCheck([request_]) as started:
        (report,) = started.results()
    assert "golden.npz" in report.error
    assert report.difference is None


def test_a_crash_is_no_verdict(request_):
    with ServingCheck([request_]) as started:
        os.kill(started._process.pid, signal.SIGKILL)
        with pytest.raises(
            DependencyError, match="gate was killed by signal 9, perhaps by"
        ):
            started.results()


def test_a_process_that_hangs_is_no_verdict(request_, monkeypatch):
    monkeypatch.setattr(serving_check, "TIMEOUT_SECONDS", 0.5)
    with ServingCheck([request_]) as started:
        os.kill(started._process.pid, signal.SIGSTOP)
        with pytest.raises(DependencyError, match=r"did not answer within 0\.5 s"):
            started.results()[0]
    assert started._process.code == -signal.SIGKILL


def test_a_check_that_is_left_leaves_no_process(request_):
    with ServingCheck([request_]) as started:
        process = started._process.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


PROCESS = """
import os, sys, time
from headrace.models.logged import serving_check
from headrace.models.logged.serving_check import CheckRequest, ServingCheck, keep_spare

request = CheckRequest.model_validate_json(sys.stdin.read())

def check():
    return ServingCheck([request])

"""
FORKED = pytest.param("keep_spare(); ", id="forked")
NEW = pytest.param("", id="new")


def start(code, request):
    """A process that runs code after `PROCESS`."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write(request.model_dump_json())
    process.stdin.close()
    return process


def output(code, request):
    process = start(code, request)
    assert process.stdout is not None
    with process.stdout as out:
        lines = out.read().splitlines()
    assert process.wait() == 0
    return lines


def test_a_spare_process_answers_once_and_then_a_new_one(request_):
    code = (
        "keep_spare()\n"
        "for _ in range(2):\n"
        "    with check() as started:\n"
        "        print(started._process._process.args[0])\n"
        "        print(started.results()[0].model_dump_json())\n"
    )
    spare, first, new, second = output(code, request_)
    assert (spare, new) == ("serving_check", sys.executable)
    for report in (first, second):
        assert ServingReport.model_validate_json(report).difference == 0


def test_a_spare_process_does_not_know_what_came_after_it(request_):
    """As a server does not: an object of the pipeline's own code is not registered."""
    code = (
        "keep_spare(); import keras\n"
        "serving_check.measure = lambda request: 1 / 0\n"
        "with check() as started: print(started.results()[0].error)\n"
    )
    assert output(code, request_) == [""]


def test_a_spare_process_that_was_killed_while_it_waited_is_replaced(request_):
    code = (
        "import signal\n"
        "keep_spare(); spare = serving_check._spares[0]\n"
        "os.kill(spare.pid, signal.SIGKILL); spare._process.wait()\n"
        "with check() as started: print(started.results()[0].difference)\n"
    )
    assert output(code, request_) == ["0.0"]


def test_a_spare_process_holds_no_file_of_the_other(request_):
    """Else a guarded server would not see that its run was killed."""
    code = (
        "reading, writing = os.pipe(); keep_spare(); os.close(writing)\n"
        "print(os.read(reading, 1), serving_check._spares[0].code)\n"
    )
    assert output(code, request_) == ["b'' None"]


def test_a_spare_process_is_waited_for_among_many_files(request_):
    code = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (1200, hard))\n"
        "files = [open(os.devnull) for _ in range(1100)]\n"
        "os.close(0); keep_spare()\n"
        "with check() as started: print(started.results()[0].difference)\n"
    )
    assert output(code, request_) == ["0.0"]


@pytest.mark.parametrize("before", [FORKED, NEW])
def test_it_ends_when_its_parent_is_killed(request_, before):
    """Held up by a named pipe in place of its model, it would wait for ever."""
    request_.model.unlink()
    os.mkfifo(request_.model)
    code = "c = check(); print(c._process.pid, flush=True); time.sleep(600)"
    _kill_and_wait(start(before + code, request_))


def test_a_spare_process_ends_when_its_parent_is_killed(request_):
    code = "keep_spare(); print(serving_check._spares[0].pid, flush=True); "
    _kill_and_wait(start(code + "time.sleep(600)", request_))


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (
            signal.SIGKILL,
            "was killed by signal 9, perhaps by the kernel for want of memory.",
        ),
        (signal.SIGSTOP, "did not answer within 0.5 s"),
    ],
)
def test_a_spare_process_that_fails_is_no_verdict(request_, number, says):
    code = (
        "serving_check.TIMEOUT_SECONDS = 0.5; keep_spare(); started = check()\n"
        f"os.kill(started._process.pid, {int(number)})\n"
        "try: started.results()[0]\n"
        "except Exception as error: print(error.message)\n"
        "started.__exit__()\n"
        "print(started._process.code)\n"
    )
    message, code_of_process = output(code, request_)
    assert says in message
    assert code_of_process == "-9"


def _kill_and_wait(parent):
    """Kill a process that prints the number of its own, which must end as well."""
    assert parent.stdout is not None
    process = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    limit = time.monotonic() + 600
    while time.monotonic() < limit and _runs(process):
        time.sleep(0.05)
    assert not _runs(process)


def _runs(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
