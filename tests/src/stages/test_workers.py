"""Work is spread over processes, in order, and leaves none behind."""

import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, wait

import psutil
import pytest
from tests.waiting import meeting

from headrace.errors import DependencyError
from headrace.settings import Settings
from headrace.stages import pieces
from headrace.stages.pieces import HERE_SECONDS, Workers

pytestmark = pytest.mark.system

# As text for `eval`, since a test's own functions cannot be found by a new process.
PROCESS = "__import__('os').getpid()"


@pytest.fixture
def settings(tmp_path):
    return Settings(project=tmp_path)


@pytest.fixture
def helped(monkeypatch):
    """Others are awake from the first task on."""
    monkeypatch.setattr(pieces, "HERE_SECONDS", 0.0)


def spread(work, tasks, settings):
    with Workers(settings) as several:
        if not pieces.HERE_SECONDS and several._count > 1:
            wake(several)
        yield from several.spread(work, tasks)


def wake(several):
    """Wait until one of the others is awake."""
    limit = time.monotonic() + 60
    while not several._others(eval):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_moment_of_work_is_done_here(settings):
    assert set(spread(eval, [PROCESS] * 100, settings)) == {os.getpid()}


def test_after_a_moment_the_same_others_do_the_rest(settings, monkeypatch):
    monkeypatch.setattr(pieces, "processors", lambda: 2)
    slow = f"(__import__('time').sleep({HERE_SECONDS / 2}), {PROCESS})[1]"

    def tasks(several):
        yield from (slow, slow)
        wake(several)
        yield from (PROCESS, PROCESS, PROCESS)

    with Workers(settings) as several:
        *here, third, fourth = several.spread(eval, tasks(several))
        again = [*several.spread(eval, [PROCESS] * 2)]
    assert here == [os.getpid()] * 3, "the third was made before others were awake"
    assert len({third, fourth, *again}) <= 2
    assert os.getpid() not in {third, fourth, *again}


@pytest.mark.usefixtures("helped")
def test_a_single_processor_does_all_of_it_here(settings, monkeypatch):
    monkeypatch.setattr(pieces, "processors", lambda: 1)
    assert set(spread(eval, [PROCESS] * 10, settings)) == {os.getpid()}


@pytest.mark.usefixtures("helped")
def test_results_come_in_the_order_of_the_tasks(settings):
    tasks = [f"(__import__('time').sleep({s % 3 / 20}), {s})[1]" for s in range(12)]
    assert list(spread(eval, tasks, settings)) == list(range(12))


@pytest.mark.usefixtures("helped")
def test_many_tasks_are_done_in_as_many_processes_as_there_are_processors(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(pieces, "processors", lambda: 3)
    found = set(spread(eval, [meeting(tmp_path / "met", 3)] * 12, settings))
    assert len(found) == 3
    assert not any(map(psutil.pid_exists, found))


def test_an_error_passes_and_drops_the_rest(settings, tmp_path):
    places = [str(tmp_path / str(number)) for number in range(1, 100)]
    with pytest.raises(FileExistsError):
        list(spread(os.mkdir, [str(tmp_path), *places], settings))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("helped")
def test_an_error_of_another_process_passes_and_drops_the_rest(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr(pieces, "processors", lambda: 2)
    begun = []
    submit = ProcessPoolExecutor.submit

    def kept(*given):
        begun.append(submit(*given))
        return begun[-1]

    def tasks():
        yield from ("1 / 0", "0")
        wait(begun)
        yield from (f"__import__('os').mkdir('{tmp_path}/{n}')" for n in range(50))

    monkeypatch.setattr(ProcessPoolExecutor, "submit", kept)
    with pytest.raises(ZeroDivisionError):
        list(spread(eval, tasks(), settings))
    assert len(list(tmp_path.iterdir())) <= 1, "but for the one that was made meanwhile"


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
    monkeypatch.setattr(pieces, "processors", lambda: 2)
    with pytest.raises(DependencyError, match=r"worker process ended .* memory"):
        list(spread(eval, [*["__import__('os')._exit(9)"] * 2, "0"], settings))


def test_workers_end_when_their_parent_is_killed(tmp_path):
    code = f"""
import pathlib, sys, time
from headrace.settings import Settings
from headrace.stages import pieces
pieces.HERE_SECONDS = 0
pieces.processors = lambda: 3
if __name__ == "__main__":
    settings = Settings(project=pathlib.Path({str(tmp_path)!r}))
    several = pieces.Workers(settings)
    def tasks():
        while not several._others(eval):
            time.sleep(0.01)
        yield from ["__import__('os').write(1, b'%d ' % {PROCESS})"] * 2
        yield from ["__import__('time').sleep(300)"] * 2
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
