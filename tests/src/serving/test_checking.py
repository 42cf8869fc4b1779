"""A version is opened for a swap once another process has compared its answers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from tests import versions

from headrace.errors import DependencyError
from headrace.records import Record
from headrace.serving.checking import Checks
from headrace.state.ledger import Ledger

pytestmark = pytest.mark.system


def images(settings):
    return Ledger(settings.database_url).version("images", 1)


def pid_of(checks):
    process = checks._process._process
    assert process is not None
    return process.pid


@pytest.fixture
def checks(built):
    made = Checks(built)
    yield made
    made.close()


def test_a_checked_engine_answers_in_this_process(built, checks):
    version = images(built)
    expected = versions.expected(built, version)
    pids = set()
    for _ in range(2):
        served = checks.open(version, "champion")
        pids.add(pid_of(checks))
        assert served.engine.name == "onnx"
        for items in versions.forms("image"):
            assert np.abs(served.engine(items) - expected).max() <= 1e-5
        assert set(served.sanity) == {"occlusion", "gradients"}
        served.close()
    (pid,) = pids
    assert os.getpgid(pid) == pid != os.getpgid(0), "an interrupt is not for it"
    assert os.getsid(pid) == os.getsid(0), "its low priority is towards this process"


def test_a_changed_engine_is_not_opened_and_the_log_says_why(built, checks, caplog):
    (file,) = Path(built.store).glob(f"engines/{images(built).model_digest}/*.onnx")
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    served = checks.open(images(built), "champion")
    assert served.engine.name == "keras"
    assert "model.onnx is gone or changed: it is ignored" in caplog.text
    served.close()


def test_an_answer_of_another_release_is_an_error_once(built, checks, monkeypatch):
    class Other(Record):
        """What another release answers."""

        verdict: str

    with monkeypatch.context() as patch:
        patch.setattr("headrace.serving.checking.Checked", Other)
        with pytest.raises(DependencyError, match="something else than an answer"):
            checks.open(images(built), "champion")
    checks.open(images(built), "champion").close()


def test_a_process_that_dies_is_an_error_once(built, checks):
    version = images(built)
    checks.open(version, "champion").close()
    os.kill(pid_of(checks), signal.SIGKILL)
    reason = "process that checks versions was killed by signal 9"
    with pytest.raises(DependencyError, match=reason):
        checks.open(version, "champion")
    checks.open(version, "champion").close()


def test_the_process_ends_after_some_quiet_time(built, checks, monkeypatch):
    checks.open(images(built), "champion").close()
    pid = pid_of(checks)
    monkeypatch.setattr(checks._process, "_quiet_seconds", 0.1)
    checks.open(images(built), "champion").close()
    for _ in range(200):
        if not psutil.pid_exists(pid):  # it was waited for
            return
        time.sleep(0.05)
    raise AssertionError("it still runs")


def test_it_ends_as_well_after_an_error_that_it_has_reported(
    built, checks, monkeypatch
):
    monkeypatch.setattr(checks._process, "_quiet_seconds", 0.1)
    broken = images(built).model_copy(update={"details": {}})
    with pytest.raises(DependencyError, match="process that checks versions failed"):
        checks.open(broken, "champion")
    limit = time.monotonic() + 10
    while checks._process._process is not None:
        assert time.monotonic() < limit
        time.sleep(0.05)


def test_without_engines_keras_answers_and_nothing_else_is_started(built):
    checks = Checks(built.model_copy(update={"engines": "none"}))
    served = checks.open(images(built), "champion")
    assert served.engine.name == "keras"
    assert checks._process._process is None
    served.close()


def test_after_its_end_nothing_is_started(built, checks):
    checks.open(images(built), "champion").close()
    checks.close()
    with pytest.raises(
        DependencyError, match="process that checks versions was closed"
    ):
        checks.open(images(built), "champion")
    assert checks._process._process is None
