"""Processes of our modules that need Keras, and do not import it each time.

One process has imported it and nothing else, and forks them: as a run forks the clean
process of the serving gate. Importing takes five seconds of a processor each time.

`multiprocessing`'s forkserver does not serve: its processes have no streams of their
own, and import the main module of the tests first.
"""

import array
import contextlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import pytest

from headrace.state import children

ALONE = {"start_new_session", "process_group"}  # in a group of its own
MODULES = {
    "headrace.models.engines.answering",
    "headrace.models.engines.exporting",
    "headrace.models.logged.serving_check",
    "headrace.serving.texts_process",
}
COLD = children.start
_NUMBER = struct.Struct("!q")
# The folder of the tests may be there as the present one only.
_PATH = (str(Path(__file__).resolve().parents[1]), *sys.path)


class Forker:
    """The process that forks them, which starts with the first."""

    def __init__(self):
        self._ours = None

    def __call__(self, module, *arguments, **options):
        """Start a process of a module, as `children.start` does."""
        if module not in MODULES:
            return COLD(module, *arguments, **options)
        return Forked(self._connection(), [module, *arguments], **options)

    def _connection(self):
        if self._ours is None:
            self._ours, theirs = socket.socketpair()
            with theirs:
                subprocess.Popen(
                    [sys.executable, "-m", "tests.warm"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(_PATH)},
                )
        return self._ours

    def close(self):
        if self._ours is not None:
            self._ours.close()


class Forked:
    """One of them, which tells its pid and its exit code through a pipe."""

    def __init__(self, forker, argv, niceness=0, **options):
        self.returncode = None
        self.stdin = None
        order = {
            "argv": argv,
            "environment": options.get("env") or dict(os.environ),
            "folder": os.getcwd(),
            "niceness": niceness,
            "has_session": not options.keys().isdisjoint(ALONE),
        }
        with contextlib.ExitStack() as stack:
            streams = []
            for name in ("stdin", "stdout", "stderr"):
                stream = options.get(name, {"stdin": 0, "stdout": 1, "stderr": 2}[name])
                if stream == subprocess.PIPE:
                    stream, writing = os.pipe()
                    stack.callback(os.close, stream)
                    self.stdin = open(writing, "wb")
                elif stream == subprocess.DEVNULL:
                    stream = os.open(os.devnull, os.O_RDWR)
                    stack.callback(os.close, stream)
                streams.append(stream if isinstance(stream, int) else stream.fileno())
            self._lock = threading.Lock()
            self._ended, writing = os.pipe()
            stack.callback(os.close, writing)
            file = stack.enter_context(open(os.memfd_create("order"), "w+"))
            json.dump(order, file)
            file.flush()
            descriptors = array.array("i", [*streams, writing, file.fileno()])
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)
            forker.sendmsg([b"f"], [rights])
        self.pid = self._read()

    def _read(self):
        (number,) = _NUMBER.unpack(os.read(self._ended, _NUMBER.size))
        return int(number)

    def poll(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout=None):
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._ended)
            if not poll.poll(None if timeout is None else timeout * 1000):
                raise subprocess.TimeoutExpired("a forked process", timeout)
            with self._lock:  # it tells its code once
                if self.returncode is None:
                    self.returncode = self._read()
                    os.close(self._ended)
        return self.returncode

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number):
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # no child of this process
                os.kill(self.pid, number)


@contextlib.contextmanager
def warm_processes():
    """A `Forker` starts our processes in this block."""
    forker = Forker()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "start", forker)
        yield
    forker.close()


def main():
    """Fork a process for each message, whose descriptors it gets."""
    from headrace.imports.backend import import_backend

    import_backend(minimal=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # of those that wait below
    with socket.socket(fileno=os.dup(0)) as ours:
        while True:
            message, descriptors, _, _ = socket.recv_fds(ours, 1, 5)
            if not message:
                return
            if os.fork() == 0:
                ours.close()
                _fork_and_wait(descriptors)
            for descriptor in descriptors:
                os.close(descriptor)


def _fork_and_wait(descriptors):
    """Fork it, and tell how it ended: whoever asked is not its parent."""
    *streams, told, order = descriptors
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        os.close(told)
        with open(order, encoding="utf-8") as file:
            file.seek(0)
            _run(json.load(file), streams)
    for stream in (*streams, order):
        os.close(stream)
    os.write(told, _NUMBER.pack(pid))
    _, status = os.waitpid(pid, 0)
    os.write(told, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _run(order, streams):
    """What a forked process does: it runs its module as a program."""
    code = 1
    try:
        if order["has_session"]:
            os.setsid()
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(":"))
        os.chdir(order["folder"])
        tempfile.tempdir = None  # it is that of the environment
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.closerange(3, max(*streams, 3) + 1)
        os.nice(max(0, order["niceness"] - os.getpriority(os.PRIO_PROCESS, 0)))
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)
        sys.argv = order["argv"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else int(bool(leave.code))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
