"""What runs beside the answering versions starts without touching the server."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tests.src.serving.asked import IMAGES, TEXTS
from tests.src.serving.conftest import IMAGE, a_row
from tests.waiting import until

from headrace.errors import DependencyError, UsageError
from headrace.models import engines
from headrace.models.engines import stored
from headrace.serving.metrics import Metrics
from headrace.serving.server import listen
from headrace.serving.shadow import check_same_requests
from headrace.serving.starting import (
    description_of,
    open_alone,
    process_metrics,
)
from headrace.serving.texts import MODULE
from headrace.state.frames import FramedProcess
from headrace.state.ledger import Ledger


def test_a_challenger_is_opened_by_its_own_process(built, monkeypatch):
    def fail(*_):
        raise AssertionError("the server opens a challenger")

    monkeypatch.setattr(engines, "open_and_check", fail)
    monkeypatch.setattr(stored, "open_and_check", fail)
    row = Ledger(built.database_url).version("images", 1)
    engine = open_alone(row, built)
    assert engine.name == "onnx"
    engine.close()


def test_the_memory_of_processes_beside_the_server_is_told(tmp_path, cold):
    metrics, processes = Metrics(), list[FramedProcess]()

    def texts_beside():
        beside = description_of([], "http://here", None)["processes"]
        names = [one["name"] for one in beside]  # with those of other tests
        return names.count("texts_process")

    metrics.sources.append(process_metrics)
    for name in ("one", "two"):
        processes.append(FramedProcess(MODULE, name))
        until(lambda: texts_beside() == len(processes), "no name of its own")

    def smallest():
        return min(psutil.Process(one.pid).memory_info().rss for one in processes)

    until(lambda: smallest() >= 2**24, "Python has not started")
    lines = metrics.text().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")
    beside = values.pop('headrace_resident_bytes{process="texts_process"}')
    assert float(beside) > 2 * 2**24
    assert float(values.pop("headrace_resident_bytes")) > 2**20
    for one in processes:
        one.close()
    assert texts_beside() == 0


def test_the_shadow_is_named():
    told = description_of([], "http://here", a_row("toy", 3, IMAGE))
    assert told["shadow"] == {"name": "toy", "version": 3}


def test_a_shadow_that_takes_other_items_is_refused():
    check_same_requests("digits/3", IMAGES, "digits/2", IMAGES.model_copy())
    larger = IMAGES.model_copy(update={"shape": (28, 28, 1)})
    with pytest.raises(UsageError, match=r"digits/3 .* digits/2: its shape is \(28, "):
        check_same_requests("digits/3", larger, "digits/2", IMAGES)
    other = IMAGES.model_copy(update={"target": {"classes": ["one", "two"]}})
    with pytest.raises(UsageError, match=r"its target is .*two.*, and not .*nine"):
        check_same_requests("digits/3", other, "digits/2", IMAGES)
    unmasked = TEXTS.model_copy(update={"mask": ()})
    with pytest.raises(UsageError, match=r"its mask is \(\), and not \('email',\)"):
        check_same_requests("messages/3", unmasked, "messages/2", TEXTS)


FIRST = """
import sys
from headrace.serving.starting import without_pandas
from tests.src.serving.test_explanation_route import TEXT, explain, looking

with without_pandas():
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
