"""What must be equal in two processes, for one to do the work of the other."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace_ops.live import PREFORK_SOCKET

SECONDS = 5.0  # for a request or an answer
# Variables that no import reads: of places, logins, terminals and test runners.
_MAY_DIFFER = re.compile(
    r"(HEADRACE|MLFLOW_TRACKING|PREFECT_API|PREFECT_FLOWS|AWS|SSH|TMUX|TERM|VTE|VSCODE"
    r"|XDG_SESSION|VIRTUAL_ENV|_?PYENV|GPG|DBUS|INVOCATION|JOURNAL|GNOME|KITTY|ITERM"
    r"|PYTEST)\w*"
    r"|_|PATH|PWD|OLDPWD|SHLVL|COLUMNS|LINES|STY|WINDOWID|COLORTERM|PS1|LS_COLORS"
    r"|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY"
)
_CGROUPS = Path("/sys/fs/cgroup")


def circumstances() -> dict[str, Any]:
    """What an import or a fork fixes: interpreter, user, limits, variables; JSON."""
    limits = sorted(name for name in vars(resource) if name.startswith("RLIMIT_"))
    return {
        "python": [sys.executable, sys.version, *sys.warnoptions],
        "flags": [sys.flags.optimize, sys.flags.dev_mode, sys.flags.utf8_mode],
        "user": [os.geteuid(), os.getegid(), *os.getgroups()],
        "limits": [[n, *resource.getrlimit(getattr(resource, n))] for n in limits],
        "cgroups": [*_cgroup_limits()],
        "processors": sorted(os.sched_getaffinity(0)),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "spaces": [os.readlink(f"/proc/self/ns/{n}") for n in ("mnt", "net", "pid")],
        "variables": {
            name: value
            for name, value in sorted(dict(os.environ).items())
            if not _MAY_DIFFER.fullmatch(name)
        },
    }


def differences(own: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names of circumstances and of variables that differ."""
    variables = own["variables"].items() ^ other["variables"].items()
    names = {name for name in own if name != "variables" and own[name] != other[name]}
    return sorted(names | {name for name, _ in variables})


def _cgroup_limits() -> Iterator[str]:
    """The limits of version 2; the groups of version 1."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        version, _, path = line.split(":", 2)
        if version != "0":
            yield line
            continue
        folder = _CGROUPS / path.lstrip("/")
        while folder.is_relative_to(_CGROUPS):
            for name in ("cpu.max", "memory.high", "memory.max", "pids.max"):
                with contextlib.suppress(OSError):
                    yield f"{name} {(folder / name).read_text().strip()}"
            folder = folder.parent


@contextlib.contextmanager
def socket_at(home: Path) -> Iterator[tuple[socket.socket, str]]:
    """A socket, and its address in a home, which is short however long the path is."""
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.settimeout(SECONDS)
            yield connection, f"/proc/self/fd/{folder}/{PREFORK_SOCKET}"
    finally:
        os.close(folder)
