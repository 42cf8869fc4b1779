"""The log of a server, whose store may be full, away, or slow."""

import logging
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.src.serving.asked import IMAGES, NOON_US, SOUNDS, TEXTS, an_answer

from headrace.errors import DependencyError
from headrace.serving import log as module
from headrace.serving.log import RequestLog
from headrace.state.requests import Asked, parts_with, read_requests
from headrace.state.store import Store

START_US = time.time_ns() // 1000  # rows of long ago are deleted


class Flaky(Store):
    """A store that takes nothing while it has a failure."""

    failure: Exception | None = None
    tries = 0

    def write(self, key, data):
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        return super().write(key, data)


@pytest.fixture
def store(tmp_path):
    return Flaky(str(tmp_path / "store"))


@pytest.fixture
def make_log(store, monkeypatch):
    """Starts logs that write every half a second, and closes them at the end."""
    monkeypatch.setattr(module, "PART_SECONDS", 0.5)
    monkeypatch.setattr(module, "_TURN_SECONDS", 0.01)
    monkeypatch.setattr(module, "_END_SECONDS", 300.0)
    logs = []

    def make(**options):
        logs.append(RequestLog(store, 30, **options))
        return logs[-1]

    yield make
    store.failure = None
    for log in logs:
        log.close()


@pytest.fixture
def log(make_log):
    return make_log()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def ids_of(store, model="digits"):
    tables = [*read_requests(Asked(model), store)]
    rows = [row for t in tables for row in t.select(["time", "request_id"]).to_pylist()]
    return [row["request_id"] for row in sorted(rows, key=lambda row: row["time"])]


def parts(store):
    return [key for key in store.keys() if key.startswith("requests/")]


def test_all_requests_are_in_the_store_once_the_log_is_closed(store, log):
    for n in range(500):
        own = {"time_us": START_US + n}
        log(an_answer(f"i{n}", IMAGES, **own))
        log(an_answer(f"t{n}", TEXTS, model="messages", **own))
        log(an_answer(f"s{n}", SOUNDS, model="sounds", count=2, **own))
    log.close()
    assert ids_of(store) == [f"i{n}" for n in range(500)]
    assert ids_of(store, "messages") == [f"t{n}" for n in range(500)]
    assert len(ids_of(store, "sounds")) == 1000
    assert (log.written, log.waiting, log.full, log.fault) == (2000, 0, 0, 0)


def test_what_waits_is_written_after_some_time_and_nothing_when_idle(store, log):
    log(an_answer("a"))
    until(lambda: log.written == 1)
    time.sleep(1.5)
    assert store.tries == len(parts(store)) == 1


@pytest.mark.parametrize(
    ("kind", "count"), [(IMAGES, 8), (SOUNDS, 64)], ids=["rows", "bytes"]
)
def test_many_rows_or_bytes_are_written_at_once(
    store, make_log, monkeypatch, kind, count
):
    monkeypatch.setattr(module, "PART_SECONDS", 3600)
    monkeypatch.setattr(module, "PART_ROWS", 16 if count == 8 else 10**6)
    monkeypatch.setattr(module, "PART_BYTES", 2**17)
    log = make_log(with_inputs=True)
    for n in range(4):
        log(an_answer(f"{n}", kind, count=count, time_us=START_US + n))
    until(lambda: log.written >= 2 * count)
    for key in parts(store):
        assert Path(store.path(key)).stat().st_size < 2**19
    log.close()
    assert log.written == 4 * count


def test_a_part_has_rows_of_one_hour_and_lies_in_its_folder(store, make_log):
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    first = int(now.timestamp()) * 1_000_000
    log = make_log()
    for ident, at in (("b", first), ("a", first - 1), ("c", first + 3_599_999_999)):
        log(an_answer(ident, time_us=at))
    log.close()
    assert ids_of(store) == ["a", "b", "c"]
    assert len(parts(store)) == 2
    assert any(f"/{now:%Y-%m-%d/%H}/" in key for key in parts(store))


def test_versions_and_roles_share_a_part(store, make_log):
    log = make_log(with_inputs=True)
    log(an_answer("a", version=1, time_us=START_US + 1))
    log(an_answer("a", version=2, role="shadow", time_us=START_US + 2))
    log(an_answer("b", version=2, role="try", time_us=START_US + 3))
    log.close()
    assert len(parts(store)) == 1
    (table,) = read_requests(Asked("digits"), store)
    assert table["version"].to_pylist() == [1, 2, 2]
    assert table["role"].to_pylist() == ["champion", "shadow", "try"]
    assert table["input"].null_count == 0


def test_old_days_are_deleted_while_a_server_runs(store, log):
    log(an_answer("old", time_us=NOON_US - 10**9 * 86_400 * 40))
    log(an_answer("now"))
    log.close()
    again = RequestLog(store, 30)
    until(lambda: len(parts(store)) == 1)
    again.close()
    assert ids_of(store) == ["now"]


def test_rows_wait_while_the_store_is_away_and_are_written_then(store, log, caplog):
    store.failure = DependencyError("The store does not answer.", "Wait.")
    for n in range(3):
        log(an_answer(f"{n}", time_us=START_US + n))
        until(lambda tries=store.tries + 1: store.tries > tries)
    assert (log.written, log.waiting) == (0, 3)
    store.failure = None
    until(lambda: log.written == 3)
    assert (log.waiting, log.full, log.fault) == (0, 0, 0)
    assert ids_of(store) == ["0", "1", "2"]
    assert len(parts(store)) == 1, "rows that are written again have the same key"
    assert caplog.text.count("cannot be written; 64 MiB wait") == 1
    assert caplog.text.count("the request log is written; 0 rows were dropped") == 1


def test_a_full_disk_drops_rows_beyond_what_may_wait(store, make_log, monkeypatch):
    monkeypatch.setattr(module, "PART_BYTES", 2**13)
    monkeypatch.setattr(module, "MOST_BYTES", 2**18)
    log = make_log()
    store.failure = OSError(28, "No space left on device")
    for n in range(200):
        log(an_answer(f"{n}", SOUNDS, model="sounds", time_us=START_US + n))
        if n % 20 == 0:
            time.sleep(0.05)
    until(lambda: store.tries > 2)
    assert 0 < log.full < 200
    assert log.waiting == 200 - log.full
    store.failure = None
    until(lambda: log.written == 200 - log.full)
    assert (log.waiting, log.fault) == (0, 0)


def test_no_more_than_64_mib_wait(make_log, monkeypatch):
    monkeypatch.setattr(module, "_TURN_SECONDS", 3600)
    assert module.MOST_BYTES + module.PART_BYTES == 64 * 2**20
    log = make_log()
    for _ in range(10):
        log(an_answer(count=10_000))
    assert (log.waiting, log.full) == (60_000, 40_000)
    large = an_answer("large", SOUNDS, count=1000)
    other = make_log()
    for _ in range(30):
        other(large)
    assert other.waiting * (large.items.nbytes / 1000 + 512) <= module.MOST_BYTES
    assert other.waiting + other.full == 30_000


@pytest.mark.parametrize("when", ["made", "written"])
def test_a_fault_of_code_is_not_counted_as_a_full_store(
    store, log, caplog, monkeypatch, when
):
    if when == "made":
        target = IMAGES.model_copy(update={"target": {}})
        for n in range(2):
            log(an_answer(f"bad{n}", target, model="bad", outputs=[[1.0]]))
        lost = 2
    else:
        monkeypatch.setattr(pa, "concat_tables", lambda tables: 1 / 0)
        log(an_answer("bad"))
        lost = 1
    until(lambda: log.fault == lost)
    monkeypatch.undo()
    log(an_answer("good"))
    log.close()
    assert (log.written, log.full, log.waiting, log.fault) == (1, 0, 0, lost)
    assert ids_of(store) == ["good"]
    assert caplog.text.count("Traceback") == 1
    assert "cannot be written" not in caplog.text


def test_a_request_does_not_wait_while_the_store_hangs(store, log, monkeypatch):
    hangs, began = threading.Event(), threading.Event()

    def write(key, data):
        began.set()
        hangs.wait(60)

    monkeypatch.setattr(store, "write", write)
    log(an_answer("a"))
    assert began.wait(60)
    started = time.perf_counter()
    for _ in range(100):
        log(an_answer("b"))
    assert time.perf_counter() - started < 10
    hangs.set()


def test_closing_does_not_wait_for_ever_and_counts_what_is_lost(
    store, log, monkeypatch, caplog
):
    monkeypatch.setattr(module, "_END_SECONDS", 0.3)
    store.failure = DependencyError("The store does not answer.", "Wait.")
    log(an_answer("a"))
    with caplog.at_level(logging.WARNING):
        log.close()
    assert "1 rows of the request log were not written" in caplog.text


def test_servers_share_a_log_and_an_item_is_found_in_the_parts_of_both(store, make_log):
    logs, item = [make_log(), make_log()], np.zeros((1, 8, 8, 1), np.uint8)
    for number, log in enumerate(logs):
        log(an_answer(f"{number}", items=item, time_us=START_US + number))
        log.close()
    assert ids_of(store) == ["0", "1"]
    found = parts_with(store, lambda items: np.ones(len(items), bool))
    assert len(found["digits"]) == 2


@pytest.mark.system
def test_the_server_loads_no_heavy_library_for_it(tmp_path):
    code = (
        "import sys, time\n"
        "import numpy as np\n"
        "from tests.src.serving.asked import IMAGES, SOUNDS, TEXTS, an_answer\n"
        "from headrace.serving.log import RequestLog\n"
        "from headrace.serving.shadow import Shadow\n"
        "from headrace.serving.starting import without_pandas\n"
        "from headrace.state.store import Store\n"
        "class Toy:\n"
        "    name = 'toy'\n"
        "    def __call__(self, items): return np.zeros((len(items), 3), 'f4')\n"
        "    def close(self): pass\n"
        "pandas = without_pandas()\n"
        "pandas.__enter__()\n"
        "log = RequestLog(Store(sys.argv[1]), 30, with_inputs=True)\n"
        "shadow = Shadow('digits', 3, IMAGES, Toy, log)\n"
        "while not shadow.is_running: time.sleep(0.01)\n"
        "for kind in (IMAGES, SOUNDS, TEXTS):\n"
        "    [each(an_answer(kind=kind)) for each in (log, shadow)]\n"
        "while shadow.compared < 1: time.sleep(0.01)\n"
        "shadow.close(); log.close()\n"
        "assert log.written == 4, (log.written, log.fault)\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'prefect', 'pandas', 'scipy'}\n"
        "loaded = {n.split('.')[0] for n, module in sys.modules.items() if module}\n"
        "print(sorted(heavy & loaded))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=600
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
