"""The log of a server, with its real process, which may be killed, hang, or fail."""

import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.src.serving.asked import IMAGES, SOUNDS, TEXTS, an_answer

from headrace.serving import log as module
from headrace.serving.log import RequestLog
from headrace.serving.log_frames import Facts, LogTask, RequestBatch, to_frame
from headrace.serving.log_writer import LogWriter
from headrace.serving.requests import request_table
from headrace.serving.requests.files import root_of
from headrace.serving.requests.reading import Asked
from headrace.settings import Settings

pytestmark = pytest.mark.system

START_US = time.time_ns() // 1000  # rows of long ago are deleted


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path, home=tmp_path / "home")


@pytest.fixture
def make_log(settings, monkeypatch):
    """Starts logs, and closes them at the end, however busy the machine is."""
    monkeypatch.setattr(module, "_END_SECONDS", 300.0)
    logs = []

    def make(*, with_inputs=False):
        root = root_of(settings.home)
        task = LogTask(
            root=root, keep_days=30, with_inputs=with_inputs, flush_seconds=0.3
        )
        logs.append(RequestLog(task))
        return logs[-1]

    yield make
    for log in logs:
        log.close()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ids_of(settings, model="digits"):
    table = request_table(Asked(model), settings)
    return [str(value) for value in table["request_id"].to_pylist()]


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_all_requests_are_on_the_disk_once_the_process_has_ended(settings, make_log):
    log = make_log()
    for number in range(1000):
        log(an_answer(f"i{number}", IMAGES, time_us=START_US + number))
        log(an_answer(f"t{number}", TEXTS, time_us=START_US + number, model="messages"))
        log(
            an_answer(
                f"s{number}", SOUNDS, time_us=START_US + number, model="sounds", count=2
            )
        )
    until(lambda: log.counts.sent or log.counts.written)  # it has started
    pid = log.pid
    assert pid is not None
    log.close()
    until(lambda: is_gone(pid))
    assert ids_of(settings) == [f"i{number}" for number in range(1000)]
    assert ids_of(settings, "messages") == [f"t{number}" for number in range(1000)]
    assert len(ids_of(settings, "sounds")) == 2000
    counts = log.counts
    assert (counts.written + counts.sent, counts.ended, counts.waiting) == (4000, 0, 0)
    assert len(list(root_of(settings.home).rglob("*.arrows"))) == 3


def test_versions_and_roles_share_a_file(settings, make_log):
    log = make_log(with_inputs=True)
    log(an_answer("a", version=1, time_us=START_US + 1))
    log(an_answer("a", version=2, role="shadow", time_us=START_US + 2))
    log(an_answer("b", version=2, role="try", time_us=START_US + 3))
    log.close()
    table = request_table(Asked("digits"), settings)
    assert table["version"].to_pylist() == [1, 2, 2]
    assert table["role"].to_pylist() == ["champion", "shadow", "try"]
    assert table["input"].null_count == 0


def test_a_row_that_cannot_be_sent_does_not_end_the_log(settings, make_log, caplog):
    log = make_log()
    log(an_answer("bad")._replace(outputs=np.array([["no number"]])))
    log(an_answer("good"))
    until(lambda: log.counts.written == 1)
    assert ids_of(settings) == ["good"]
    assert (log.counts.ended, log.counts.restarts) == (1, 0)
    assert "a fault in the request log" in caplog.text


def test_a_killed_process_is_replaced_and_its_rows_are_counted(
    settings, make_log, caplog
):
    log, kills, asked = make_log(), 0, 0
    until(lambda: log.pid)
    with caplog.at_level(logging.WARNING):
        while kills < 2:
            began = time.perf_counter()
            for _ in range(50):
                log(an_answer(f"{asked}", time_us=START_US + asked))
                asked += 1
            assert time.perf_counter() - began < 30, "no request waits for the process"
            time.sleep(0.05)
            pid = log.pid
            if pid is not None and log.counts.restarts == kills and asked > 2000:
                os.kill(pid, signal.SIGKILL)
                kills += 1
                until(lambda count=kills: log.counts.restarts == count)
                asked_then = asked
        until(lambda: not log.counts.waiting)
    log(an_answer("last", time_us=START_US + asked))
    log.close()
    counts = log.counts
    ids = ids_of(settings)
    assert len(ids) == len(set(ids)) == counts.written
    assert counts.written + counts.ended == asked + 1
    assert counts.full == counts.disk == 0
    assert ids[-1] == "last"
    assert asked_then > 2000
    assert "was killed by signal 9" in caplog.text


def test_the_process_ends_with_the_server_and_writes_what_it_has(settings, tmp_path):
    code = (
        "import os, sys, time, pathlib\n"
        "from tests.src.serving.asked import an_answer\n"
        "from headrace.serving.log import RequestLog\n"
        "from headrace.serving.log_frames import LogTask\n"
        "log = RequestLog(LogTask(root=pathlib.Path(sys.argv[1]), keep_days=30))\n"
        "while not log.pid: time.sleep(0.01)\n"
        "now = time.time_ns() // 1000\n"
        "[log(an_answer(str(n), time_us=now + n)) for n in range(100)]\n"
        "while log.counts.waiting or log.counts.sent < 100: time.sleep(0.001)\n"
        "time.sleep(1)  # what is sent may be on its way\n"
        "print(log.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    command = [sys.executable, "-c", code, str(root_of(settings.home))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    until(lambda: is_gone(int(done.stdout)))
    assert ids_of(settings) == [str(number) for number in range(100)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_for_the_whole_group_does_not_end_it(settings, make_log, number):
    log = make_log()
    log(an_answer("a", time_us=START_US + 1))
    until(lambda: log.counts.written == 1)
    pid = log.pid
    assert pid is not None
    os.kill(pid, number)
    log(an_answer("b", time_us=START_US + 2))
    until(lambda: log.counts.written == 2)
    assert log.pid == pid


def test_a_process_that_hangs_is_replaced(settings, make_log, monkeypatch):
    monkeypatch.setattr(module, "_SEND_SECONDS", 2.0)
    monkeypatch.setattr(module, "_PART_BYTES", 2**16)
    log = make_log()
    log(an_answer("before", time_us=START_US))
    until(lambda: log.counts.written == 1)
    hung = log.pid
    assert hung is not None
    os.kill(hung, signal.SIGSTOP)
    log(an_answer("big", count=100_000 // 2, time_us=START_US + 1))
    until(lambda: is_gone(hung))
    log(an_answer("after", time_us=START_US + 2))
    until(lambda: log.counts.written == 2)
    assert log.counts.ended == 50_000
    assert ids_of(settings) == ["before", "after"]


def test_the_queue_is_bounded_in_rows_and_bytes(make_log, monkeypatch):
    monkeypatch.setattr(module, "_TURN_SECONDS", 3600)
    log = make_log()
    for _ in range(10):
        log(an_answer(count=10_000))
    assert log.counts.waiting == 60_000
    assert log.counts.full == 40_000
    large = an_answer("large", SOUNDS, count=1000)
    assert large.items.nbytes > 3e6
    other = make_log()
    for _ in range(30):
        other(large)
    waiting = other.counts.waiting
    assert 15_000 < waiting < 22_000, "20 million bytes of items are not the limit"
    assert waiting * (large.items.nbytes / 1000 + 512) <= module.MOST_BYTES


def test_a_full_disk_loses_rows_with_one_message(settings, make_log, capfd):
    root = root_of(settings.home)
    root.parent.mkdir()
    root.write_text("no folder can be made here")
    log = make_log()
    for number in range(3):
        log(an_answer(str(number), time_us=START_US + number))
        until(lambda lost=number + 1: log.counts.disk == lost)
    root.unlink()
    log(an_answer("after", time_us=START_US + 9))
    until(lambda: log.counts.written == 1)
    assert (log.counts.disk, log.counts.ended) == (3, 0)
    assert log.counts.restarts == 0
    assert ids_of(settings) == ["after"]
    log.close()
    messages = capfd.readouterr().err
    assert messages.count("cannot be written, and its rows are lost") == 1
    assert messages.count("the request log is written again") == 1
    assert "Traceback" not in messages


def test_the_server_side_loads_no_heavy_library(tmp_path):
    code = (
        "import pathlib, sys, time\n"
        "import numpy as np\n"
        "from tests.src.serving.asked import IMAGES, SOUNDS, TEXTS, an_answer\n"
        "from headrace.serving.log import RequestLog\n"
        "from headrace.serving.log_frames import LogTask\n"
        "from headrace.serving.shadow import Shadow\n"
        "from headrace.imports import hidden\n"
        "class Toy:\n"
        "    name = 'toy'\n"
        "    def __call__(self, items): return np.zeros((len(items), 3), 'f4')\n"
        "    def close(self): pass\n"
        "pandas = hidden(['pandas'])\n"
        "pandas.__enter__()\n"
        "log = RequestLog(LogTask(root=pathlib.Path(sys.argv[1]), keep_days=30))\n"
        "shadow = Shadow('digits', 3, IMAGES, Toy, log)\n"
        "while not shadow.is_running: time.sleep(0.01)\n"
        "for kind in (IMAGES, SOUNDS, TEXTS):\n"
        "    [each(an_answer(kind=kind)) for each in (log, shadow)]\n"
        "while shadow.counts.compared < 1: time.sleep(0.01)\n"
        "while log.counts.written < 4: time.sleep(0.01)\n"
        "shadow.close(); log.close()\n"
        "assert log.counts.written == 4, log.counts\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'prefect', 'pandas', 'scipy'}\n"
        "loaded = {n.split('.')[0] for n, module in sys.modules.items() if module}\n"
        "print(sorted(heavy & loaded))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_version_whose_rows_cannot_be_made_does_not_take_others_with_it(
    settings, caplog
):
    writer = LogWriter(LogTask(root=root_of(settings.home), keep_days=7))
    bad = an_answer(
        "bad",
        IMAGES.model_copy(update={"target": {}}),
        model="bad",
        outputs=[[1.0]],
    )
    for _ in range(2):
        for answered in (bad, an_answer("good")):
            facts = Facts.of(answered, answered.description.model_dump_json())
            header, data = to_frame(facts, RequestBatch.of([answered]))
            writer.add(header, bytearray(data))
        writer.flush()
    assert writer.counts.tolist() == [2, 2]
    assert ids_of(settings) == ["good", "good"]
    assert caplog.text.count("the rows of bad are not logged") == 1
