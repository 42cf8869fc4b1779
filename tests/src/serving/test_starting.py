"""What runs beside the answering versions starts without touching the server."""

import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.src.serving.conftest import IMAGE, Site, a_row, serving

from headrace.errors import DependencyError
from headrace.models.engines import building, stored
from headrace.serving.log import MODULE
from headrace.serving.metrics import Metrics
from headrace.serving.observing import Companions, Observing
from headrace.serving.server import listen
from headrace.serving.starting import (
    description_of,
    open_alone,
    process_metrics,
)
from headrace.settings import Settings
from headrace.state.framed import FramedProcess
from headrace.state.ledger import Ledger


def observed(home, beside):
    settings = Settings(home=home, request_log_days=0)
    toy = serving(IMAGE, version=2)
    return Observing(beside, settings, lambda _: toy.engine, lambda _: toy)


def test_a_challenger_is_opened_by_its_own_process_and_waits_for_no_lock(
    built, monkeypatch
):
    def fail(*_):
        raise AssertionError("the server opens a challenger")

    monkeypatch.setattr(building, "open_stored", fail)
    monkeypatch.setattr(stored, "open_stored", fail)
    row = Ledger(built.database_url).version("images", 1)
    with (built.home / "engines.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        began = time.monotonic()
        engine = open_alone(row, built)
        assert time.monotonic() - began < 60
    assert engine.name == "onnx"
    engine.close()


def test_the_memory_of_processes_beside_the_server_is_told(tmp_path):
    metrics, logs = Metrics(), list[FramedProcess]()
    alone = observed(tmp_path, Companions(None, [], 0.0))

    def log_writers():
        beside = description_of([], "http://here", alone)["processes"]
        names = [one["name"] for one in beside]  # with those of other tests
        return names.count("log_writer")

    metrics.sources.append(process_metrics)
    for name in ("one", "two"):
        logs.append(FramedProcess(MODULE, name))
        assert log_writers() == len(logs)
    while min(psutil.Process(one.pid).memory_info().rss for one in logs) < 2**24:
        time.sleep(0.01)  # until Python has started
    lines = metrics.text().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")
    beside = values.pop('headrace_resident_bytes{process="log_writer"}')
    assert int(beside) > 2 * 2**24
    assert int(values.pop("headrace_resident_bytes")) > 2**20
    for one in logs:
        one.fail("is not needed")
        one.close()
    assert log_writers() == 0


def test_the_canary_and_the_shadow_are_named(tmp_path, monkeypatch):
    rows = [a_row("toy", number, IMAGE) for number in (2, 3)]
    observing = observed(tmp_path, Companions(rows[1], rows[:1], 0.05))
    (tmp_path / "canaries").mkdir()
    for ended in (False, True):
        site = Site(serving(IMAGE))
        observing.trials.clear()
        observing.start(site.models)
        told = description_of([], "http://here", observing)
        (canary,) = told["canaries"]
        assert (canary["name"], canary["version"]) == ("toy", 2)
        assert canary.get("share") == (None if ended else 0.05)
        assert ("ended" in canary) is ended
        assert told["shadow"] == {"name": "toy", "version": 3}
        (tmp_path / "canaries" / "toy-2.json").write_text("{}")
        observing.close()


FIRST = """
import sys
from headrace.serving.starting import without_pandas
from tests.src.serving.test_explanation_route import TEXT, explain, looking

with without_pandas(of_texts=True):
    print(explain(looking(TEXT), b"give milk now", "text/plain").status)
    assert sys.modules["pandas"] is None
"""


@pytest.mark.system
def test_the_first_explanation_of_a_text_is_given_without_pandas():
    """pyarrow fails where it looks for pandas for the first time."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", FIRST],
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    assert done.stdout == "200\n", done.stderr


def test_a_taken_port_is_refused_with_who_has_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        who = rf"Port {port} of 127\.0\.0\.1 is taken by .*\(process {os.getpid()}\)"
        with pytest.raises(DependencyError, match=who) as refused:
            listen("127.0.0.1", port)
        assert "--port" in refused.value.action
