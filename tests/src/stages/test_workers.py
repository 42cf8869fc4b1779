"""Work is spread over processes, in order, and leaves none behind."""

import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ProcessPoolExecutor, wait

import psutil
import pytest

from headrace.errors import DependencyError, UsageError
from headrace.settings import Settings
from headrace.stages import workers
from headrace.stages.workers import HERE_SECONDS, Workers

pytestmark = pytest.mark.system

# As text for `eval`, since a test's own functions cannot be found by a new process.
PROCESS = "__import__('os').getpid()"


def meeting(folder, processes):
    """A task that ends once so many processes have begun it; it gives its own."""
    folder.mkdir()
    return (
        f"(lambda os, time: (os.makedirs(f'{folder}/{{os.getpid()}}', exist_ok=True), "
        f"[*iter(lambda: len(os.listdir('{folder}')) < {processes} and "
        "time.sleep(0.01) is None, False)], os.getpid())[-1])"
        "(__import__('os'), __import__('time'))"
    )


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path)


@pytest.fixture
def helped(monkeypatch):
    """Others help from the first task on."""
    monkeypatch.setattr(workers, "HERE_SECONDS", 0.0)


def spread(work, tasks, settings):
    with Workers(settings) as several:
        if not workers.HERE_SECONDS and several._works and several._helpers:
            wake(several)
        yield from several.spread(work, tasks)


def wake(several):
    """Wait until a helper is awake."""
    limit = time.monotonic() + 60
    while not several._has_help(eval):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_moment_of_work_is_done_here(settings):
    assert set(spread(eval, [PROCESS] * 100, settings)) == {os.getpid()}


def test_after_a_moment_the_same_others_help(settings, monkeypatch):
    monkeypatch.setattr(workers, "processors", lambda: 2)
    slow = f"(__import__('time').sleep({HERE_SECONDS / 2}), {PROCESS})[1]"

    def tasks(several):
        yield from (slow, slow, PROCESS)  # one is asked for ahead
        wake(several)
        yield from (PROCESS, PROCESS)

    with Workers(settings) as several:
        first, second, *others, last = several.spread(eval, tasks(several))
        *again, last_again = several.spread(eval, [PROCESS] * 3)
    assert first == second == os.getpid()
    assert len({*others, *again}) == 1
    assert os.getpid() not in others
    # Nothing follows: another would begin it later.
    assert last == last_again == os.getpid()


@pytest.mark.usefixtures("helped")
def test_a_single_processor_does_all_of_it_here(settings, monkeypatch):
    monkeypatch.setattr(workers, "processors", lambda: 1)
    assert set(spread(eval, [PROCESS] * 10, settings)) == {os.getpid()}


@pytest.mark.usefixtures("helped")
def test_while_others_have_enough_to_do_this_process_works_as_well(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(workers, "processors", lambda: 2)
    found = set(spread(eval, [meeting(tmp_path / "met", 2)] * 12, settings))
    assert os.getpid() in found
    assert len(found) == 2


@pytest.mark.usefixtures("helped")
def test_results_come_in_the_order_of_the_tasks(settings):
    tasks = [f"(__import__('time').sleep({s % 3 / 20}), {s})[1]" for s in range(12)]
    assert list(spread(eval, tasks, settings)) == list(range(12))


@pytest.mark.usefixtures("helped")
def test_many_tasks_are_done_in_as_many_processes_as_there_are_processors(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(workers, "processors", lambda: 3)
    found = set(spread(eval, [meeting(tmp_path / "met", 3)] * 12, settings))
    assert len(found) == 3
    assert not any(map(psutil.pid_exists, found - {os.getpid()}))


def test_an_error_passes_and_drops_the_rest(settings, tmp_path):
    places = [str(tmp_path / str(number)) for number in range(1, 100)]
    with pytest.raises(FileExistsError):
        list(spread(os.mkdir, [str(tmp_path), *places], settings))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("helped")
def test_an_error_of_another_process_passes_and_drops_the_rest(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(workers, "processors", lambda: 2)
    begun = []
    submit = ProcessPoolExecutor.submit

    def kept(*given):
        begun.append(submit(*given))
        return begun[-1]

    def tasks():
        yield from ("1 / 0", "0")  # one is asked for ahead
        wait(begun)
        yield from (f"__import__('os').mkdir('{tmp_path}/{n}')" for n in range(50))

    monkeypatch.setattr(ProcessPoolExecutor, "submit", kept)
    with pytest.raises(ZeroDivisionError):
        list(spread(eval, tasks(), settings))
    assert not list(tmp_path.iterdir())


def test_an_error_of_making_a_task_comes_after_the_task_before_it(settings):
    def tasks():
        yield from (1, 4)
        raise LookupError

    results = spread(math.sqrt, tasks(), settings)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(LookupError):
        next(results)


def test_tasks_are_made_beside_the_work(settings):
    made = []

    def tasks():
        for number in range(1000):
            made.append(number)
            yield number

    results = spread(math.sqrt, tasks(), settings)
    assert made == []
    assert next(results) == 0
    assert len(made) < 1000
    results.close()
    assert len(made) < 1000


@pytest.mark.usefixtures("helped")
def test_a_worker_that_is_killed_can_be_tried_again(settings, monkeypatch):
    monkeypatch.setattr(workers, "processors", lambda: 2)
    with pytest.raises(DependencyError, match=r"worker process ended .* memory"):
        list(spread(eval, [*["__import__('os')._exit(9)"] * 2, "0"], settings))


def test_forked_helpers_help_soon_and_end_with_the_block(tmp_path):
    code = f"""
import pathlib, time
from headrace.settings import Settings
from headrace.stages import workers
workers.processors = lambda: 2
several = workers.Workers(Settings(project=pathlib.Path({str(tmp_path)!r})))
for _ in range(2):
    with several:
        several.fork()
        slow = "(__import__('time').sleep(0.1), {PROCESS})[1]"
        for process in several.spread(eval, [slow] * 20, "not {{}}".format):
            print(process)
    print(several._pool)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first, again = done.stdout.split("None\n")[:2]
    for lines in (first, again):
        assert set(lines.split()) > {"False"}  # the process here, and of the other one
        assert lines.split()[-1] != "False"


def test_without_room_for_helpers_the_work_is_done_here(tmp_path):
    code = f"""
import os, pathlib
from headrace.settings import Settings
from headrace.stages import workers
workers.processors = lambda: 4
fork, left = os.fork, [1]
def refused():
    if not left:
        raise BlockingIOError(11, "Resource temporarily unavailable")
    left.pop()
    return fork()
os.fork = refused
with workers.Workers(Settings(project=pathlib.Path({str(tmp_path)!r}))) as several:
    several.fork()
    print(*several.spread(eval, [{PROCESS!r}] * 3), os.getpid())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert len(done.stdout.split()) == 4, done.stderr
    assert len(set(done.stdout.split())) == 1


def test_a_process_with_threads_is_not_forked(settings):
    ended = threading.Event()
    threading.Thread(target=ended.wait, daemon=True).start()
    with Workers(settings) as several:
        several.fork()
        assert several._pool is None
    ended.set()


@pytest.mark.parametrize("how", ["None", "several.fork()"])
def test_workers_end_when_their_parent_is_killed(tmp_path, how):
    code = f"""
import pathlib, sys, time
from headrace.settings import Settings
from headrace.stages import workers
workers.HERE_SECONDS = workers.HERE_SECONDS_WITH_FORKS = 0
workers.processors = lambda: 3
if __name__ == "__main__":
    settings = Settings(project=pathlib.Path({str(tmp_path)!r}))
    several = workers.Workers(settings)
    def tasks():
        while not several._has_help(eval):
            time.sleep(0.01)
        yield from ["__import__('os').write(1, b'%d ' % {PROCESS})"] * 2
        yield from ["__import__('time').sleep(300)"] * 2
    {how}
    with several:
        list(several.spread(eval, tasks()))
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        text = b""
        while text.count(b" ") < 2:
            text += os.read(parent.stdout.fileno(), 100)
        found = set(map(int, text.split()))
        found |= {helper.pid for helper in psutil.Process(parent.pid).children()}
        assert len(found) > 1
        assert all(map(psutil.pid_exists, found))
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 600
    while any(map(_runs, found)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_runs, found))


def _runs(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _on_dask(folder, address, **values):
    settings = Settings(project=folder, dask_address=address, **values)
    return list(spread(math.sqrt, [1, 4, 9, 16, 25], settings))


class GoneScheduler:
    """Dask's client, which may see by itself that it has nobody to ask."""

    def __init__(self, error, status):
        self.error, self.status = error, status

    def ncores(self):
        raise self.error

    @property
    def loop(self):
        return self

    def add_callback(self, call, *given):
        """Nothing ever happens to what was submitted."""

    def submit(self, work, *given, pure):
        return None

    def close(self):
        self.status = "closed"


@pytest.mark.parametrize(
    ("error", "status", "lines"),
    [
        (OSError("Timed out trying to connect"), "running", 1),
        (RuntimeError("ConnectionPool is closed"), "closed", 0),
        (AttributeError("'NoneType' object has no attribute 'ncores'"), "closed", 0),
    ],
)
def test_a_dask_scheduler_that_vanishes_is_told_in_one_line(
    error, status, lines, monkeypatch, caplog
):
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(workers, "WITHOUT_WORKERS_SECONDS", 0.05)
    client = GoneScheduler(error, status)
    executor = workers._ClusterExecutor(client)
    begun = executor.submit(math.sqrt, 4)
    watched = (client, "tcp://10.0.0.5:8786", threading.Event(), executor)
    workers._watch_workers(*watched)
    assert client.status == "closed"
    with pytest.raises(CancelledError):
        begun.result()
    with pytest.raises(CancelledError):
        executor.submit(math.sqrt, 4)
    told = [line for line in caplog.messages if "tcp://10.0.0.5:8786" in line]
    assert len(told) == lines


def test_that_there_are_no_workers_is_told_again_and_again(monkeypatch, caplog):
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(workers, "REMIND_SECONDS", 0.05)
    monkeypatch.setattr(workers, "WITHOUT_WORKERS_SECONDS", 0.5)
    client = GoneScheduler(OSError("Timed out trying to connect"), "running")
    executor = workers._ClusterExecutor(client)
    workers._watch_workers(client, "tcp://a:1", threading.Event(), executor)
    assert 2 < caplog.text.count("tcp://a:1 has no workers; waiting") <= 11


def test_dask_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"not installed.* Install headrace\[dask\]"):
        _on_dask(tmp_path, "tcp://127.0.0.1:8786")


def test_a_store_that_is_no_folder_is_not_shared_with_dask(tmp_path):
    with pytest.raises(UsageError, match=r"the store memory://store is no folder"):
        _on_dask(tmp_path, "tcp://127.0.0.1:8786", store="memory://store")


def test_a_dask_address_must_be_one(tmp_path):
    pytest.importorskip("distributed")
    with pytest.raises(UsageError, match=r"'here', which is no address: .*port"):
        _on_dask(tmp_path, "here")


def test_a_dask_scheduler_that_is_away_can_be_tried_again(tmp_path):
    dask = pytest.importorskip("dask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with dask.config.set({"distributed.comm.timeouts.connect": "300ms"}):
        with pytest.raises(DependencyError, match=rf"{address} does not answer"):
            _on_dask(tmp_path, address)


def test_a_dask_cluster_without_workers_can_be_tried_again(tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        with pytest.raises(DependencyError, match=r"has no workers"):
            _on_dask(tmp_path, cluster.scheduler_address)


def test_a_dask_cluster_that_loses_its_workers_is_not_waited_for_without_end(
    tmp_path, monkeypatch, caplog
):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(workers, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(workers, "WITHOUT_WORKERS_SECONDS", 1.0)
    kinds = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**kinds, processes=False) as cluster:
        settings = Settings(project=tmp_path, dask_address=cluster.scheduler_address)
        with pytest.raises(DependencyError, match=r"ended in the middle"):
            for _ in spread(math.sqrt, map(float, range(100)), settings):
                cluster.scale(0)
    assert "has no workers; waiting 1 s" in caplog.text


def test_a_dask_cluster_does_the_work(tmp_path):
    distributed = pytest.importorskip("distributed")
    patience = {"distributed.scheduler.allowed-failures": 0}
    with (
        pytest.importorskip("dask").config.set(patience),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
    ):
        settings = Settings(project=tmp_path, dask_address=cluster.scheduler_address)
        assert _on_dask(tmp_path, cluster.scheduler_address) == [1, 2, 3, 4, 5]
        found = set(spread(eval, [meeting(tmp_path / "met", 2)] * 8, settings))
        assert len(found) == 2
        assert os.getpid() not in found
        with pytest.raises(ZeroDivisionError):
            list(spread(eval, ["1 / 0"] * 8, settings))
        with pytest.raises(DependencyError, match=r"ended in the middle"):
            list(spread(eval, ["__import__('os')._exit(9)"] * 4, settings))
