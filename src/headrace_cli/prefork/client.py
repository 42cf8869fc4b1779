"""The command's side: it asks for a fork, passes signals on, and ends as it ends."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import select
import signal
import socket
import sys
from types import FrameType

from headrace.errors import HeadraceError
from headrace.settings import Settings
from headrace_cli.prefork.circumstances import circumstances, socket_at


def hand_over() -> None:
    """Have this process's command run by a fork, where there is one that fits.

    Returns if there is none; then nothing has happened.

    Raises:
        SystemExit: the command has run; with its exit code.
    """
    with contextlib.ExitStack() as stack:
        try:
            settings = Settings()
            server, address = stack.enter_context(socket_at(settings.home))
            server.connect(address)
            from headrace_ops.run_server import configure

            configure(settings)
            process = _ask(server)
        except (HeadraceError, ValueError, OSError):
            return
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, functools.partial(_pass_on, process))
        select.select([process], [], [])
        # A child of the fork may hold its end for a moment longer.
        code = server.recv(1) if select.select([server], [], [], 0)[0] else b""
        if not code:
            os.kill(os.getpid(), signal.SIGKILL)  # it was killed
        sys.exit(code[0])


def _ask(server: socket.socket) -> int:
    """Ask for a fork.

    Returns:
        A descriptor of the process.

    Raises:
        OSError, ValueError: there is none.
    """
    mask = os.umask(0o077)
    os.umask(mask)
    request = {
        "circumstances": circumstances(),
        "arguments": sys.argv,
        "path": sys.path,
        "umask": mask,
        "ignores_hangup": signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
        "variables": dict(os.environ),
    }
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    lifeline, held = os.pipe()
    try:
        given = [0, 1, 2, here, lifeline]
        socket.send_fds(server, [json.dumps(request).encode()], given)
        (process,) = socket.recv_fds(server, 1, 1)[1]
    except BaseException:
        os.close(held)  # else it stays open until this process ends
        raise
    finally:
        os.close(here)
        os.close(lifeline)
    return process


def _pass_on(process: int, number: int, _frame: FrameType | None) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, number)
