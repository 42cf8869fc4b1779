"""A signal that finds the main thread in logging does not leave its lock held."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from headrace.state import interrupts

pytestmark = pytest.mark.system

# The main thread creates loggers without end, so that most signals find it in logging.
LOGS = """
import logging, os, signal, threading
from headrace.state.interrupts import interrupt

signal.signal(signal.SIGINT, interrupt)
print("ready", flush=True)
try:
    for number in range(10**9):
        logging.getLogger("a").manager._clear_cache()
        logging.getLogger("a").isEnabledFor(10)
except KeyboardInterrupt:
    pass
signal.signal(signal.SIGINT, signal.SIG_IGN)
free = []
other = threading.Thread(
    target=lambda: free.append(logging._lock.acquire(timeout=5)), daemon=True
)
other.start()
other.join()
print(free == [True], flush=True)
os._exit(0)  # the other thread has the lock, which an orderly exit would wait for
"""


def frame_of_logging():
    frame = None

    class Seeing(logging.Filter):
        def filter(self, record):
            nonlocal frame
            frame = sys._getframe(1)  # of logging itself
            return False

    logger = logging.Logger("seen")
    logger.addFilter(Seeing())
    logger.error("x")
    assert frame is not None
    return frame


def test_a_frame_of_logging_is_left_alone_and_interrupted_later(monkeypatch):
    sent = []
    monkeypatch.setattr(os, "kill", lambda *given: sent.append(given))
    interrupts.interrupt(signal.SIGTERM, frame_of_logging())
    for _ in range(500):
        if sent:
            break
        time.sleep(0.01)
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_any_other_frame_is_interrupted_at_once():
    with pytest.raises(KeyboardInterrupt):
        interrupts.interrupt(signal.SIGINT, sys._getframe())


@pytest.mark.parametrize("after", [0.01, 0.03, 0.05])
def test_the_lock_is_free_after_an_interrupt_amid_logging(after):
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", LOGS], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert out == "True\n"


def test_a_first_signal_waits_and_a_second_does_not():
    with interrupts.deferred() as deferral:
        assert interrupts.is_ours_or_default(signal.getsignal(signal.SIGINT))
        signal.raise_signal(signal.SIGINT)
        assert deferral.is_requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not deferral.is_requested
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_termination_that_is_sent_twice_at_once_counts_once():
    got = []
    mine = signal.signal(signal.SIGTERM, lambda number, _: got.append(number))
    try:
        with interrupts.deferred() as deferral:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert got == []
            deferral._since -= interrupts.DOUBLED_SECONDS
            signal.raise_signal(signal.SIGTERM)
            assert got == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, mine)


def test_what_waits_comes_at_the_latest_as_the_block_ends():
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        signal.raise_signal(signal.SIGINT)
        done.append("all")
    assert done == ["all"]


def test_what_is_critical_is_not_interrupted_from_elsewhere():
    main = threading.main_thread()
    with interrupts.deferred(is_critical=True):
        assert not interrupts.interrupt_now(main)
    with pytest.raises(KeyboardInterrupt), interrupts.deferred():
        with interrupts.deferred(is_critical=True):
            signal.raise_signal(signal.SIGINT)
            signal_is_waiting = True
        assert signal_is_waiting
        interrupts.interrupt_now(main)
        raise AssertionError("went on")


def test_a_handler_of_somebody_elses_is_left_alone():
    mine = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.deferred():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            assert not interrupts.interrupt_now(threading.main_thread())
    finally:
        signal.signal(signal.SIGINT, mine)


COLLECTS = """
import os, signal, time, weakref
from headrace.state.interrupts import handle_signals

class Thing: pass

handle_signals()
thing = Thing()
kept = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
try:
    del thing  # the signal arrives in the callback, whose exceptions are dropped
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_signal_amid_garbage_collection_is_not_lost():
    run = subprocess.run(
        [sys.executable, "-c", COLLECTS], capture_output=True, text=True, check=True
    )
    assert (run.stdout, run.stderr) == ("interrupted\n", "")


MODULE = """
import contextlib, sys
from headrace_cli import main

def handled(*_, **__):
    with contextlib.suppress(KeyboardInterrupt):
        exec("raise KeyboardInterrupt")
    sys.exit(130)

main.app = {app}
main.main()
"""


@pytest.mark.parametrize(
    "app", ["handled", "lambda *_, **__: exec('raise KeyboardInterrupt')"]
)
def test_a_signal_amid_executed_text_ends_a_command_with_130(tmp_path, app):
    """Python would end `python -m` by SIGINT."""
    (tmp_path / "interrupted.py").write_text(MODULE.format(app=app))
    command = [sys.executable, "-m", "interrupted"]
    assert subprocess.run(command, cwd=tmp_path, check=False).returncode == 130
