"""A call in a process beside this one: its result, its errors, its end."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import psutil
import pytest

from headrace.errors import DependencyError, SpecError
from headrace.stages.processes import OtherProcess, beside

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it forks")


def nothing():
    pass


def refuse():
    raise SpecError("The field is wrong.", "Mend it.")


def hang():
    time.sleep(600)


def kill_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def raise_what_has_no_pickle():
    class Own(Exception):
        pass

    raise Own("what the user's code said")


@pytest.fixture
def alone():
    if threading.active_count() > 1:
        pytest.skip("other tests have left threads, with which nothing is forked")


@pytest.mark.usefixtures("alone")
def test_calls_are_done_by_the_other_process_one_after_the_other():
    with beside(nothing) as call:
        first, second = call.begin(os.getpid), call.begin(os.getpid)
        assert second() == first() == first() != os.getpid()


@pytest.mark.usefixtures("alone")
def test_it_works_while_this_process_does(tmp_path):
    with beside() as call:
        written = call.begin(partial((tmp_path / "picture").write_text, "drawn"))
        deadline = time.monotonic() + 60
        while not (tmp_path / "picture").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert written() == len("drawn")


@pytest.mark.usefixtures("alone")
def test_more_is_sent_and_answered_than_a_pipe_holds():
    much = bytes(10_000_000)
    with beside() as call:
        results = [call.begin(partial(bytes, much)) for _ in range(3)]
        assert all(len(result()) == len(much) for result in results)


@pytest.mark.usefixtures("alone")
def test_an_error_keeps_its_kind_and_what_to_do():
    with beside(nothing) as call, pytest.raises(SpecError) as caught:
        call(refuse)
    assert (caught.value.message, caught.value.action) == (
        "The field is wrong.",
        "Mend it.",
    )


@pytest.mark.usefixtures("alone")
def test_an_error_that_cannot_be_sent_keeps_its_message():
    with beside(nothing) as call:
        with pytest.raises(RuntimeError, match="Own: what the user's code said"):
            call(raise_what_has_no_pickle)


@pytest.mark.usefixtures("alone")
def test_a_process_that_is_killed_in_its_work_is_no_verdict():
    with beside(nothing) as call, pytest.raises(DependencyError, match="in the middle"):
        call(kill_itself)


@pytest.mark.usefixtures("alone")
def test_what_was_killed_before_its_call_is_replaced_by_this_process():
    before = psutil.Process().children()  # such as the tracker of multiprocessing
    with beside(nothing) as call:
        (child,) = {*psutil.Process().children()} - {*before}
        child.kill()
        child.wait()
        assert call(os.getpid) == os.getpid()


@pytest.mark.usefixtures("alone")
def test_work_without_a_pickle_is_done_here():
    with beside(nothing) as call:
        assert call(lambda: -os.getpid()) == -os.getpid()
        assert call(os.getpid) != os.getpid()


@pytest.mark.usefixtures("alone")
def test_the_process_ends_with_the_block_even_if_it_hangs():
    started, before = time.monotonic(), psutil.Process().children()
    with beside(hang):
        (child,) = {*psutil.Process().children()} - {*before}
    assert not child.is_running()
    assert time.monotonic() - started < 60


@pytest.mark.system
def test_the_process_ends_when_this_one_is_killed():
    code = (
        "import time, psutil\n"
        "from headrace.stages.processes import beside\n"
        "with beside(lambda: time.sleep(600)):\n"
        "    print(psutil.Process().children()[0].pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(60)


def test_where_other_threads_run_nothing_is_forked():
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with beside(nothing) as call:
            assert call(os.getpid) == os.getpid()
    finally:
        done.set()
        thread.join()


def test_without_a_process_a_call_is_done_here_when_it_is_asked_for():
    done = []
    result = OtherProcess().begin(lambda: done.append(True))
    assert not done
    result()
    assert done == [True]
