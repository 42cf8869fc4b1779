"""Two machines made out of this one: namespaces, and a link between them.

Each has a network, processes, a host name and names of hosts of its own, and the files
of this machine. The kernel ends all of it with the first process of a machine's
namespaces, and that ends with the tests, even if those are killed.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil
from tests.waiting import until

ROOT = Path(__file__).parents[2]
LINK = "wg0"  # as the guide calls it
_WITH_US = ("setpriv", "--pdeathsig", "KILL")
_NAMESPACES = (
    *("unshare", "--net", "--uts", "--ipc", "--pid", "--mount", "--mount-proc"),
    *("--fork", "--kill-child"),
)
# The first process of a machine reaps those whose parent has ended.
_FIRST = (
    'hostname "$0" && mount --bind "$1" /etc/hosts && ip link set lo up'
    " && trap '' CHLD && exec sleep infinity"
)

_REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2).close()
except OSError as error:
    print(type(error).__name__)
"""


class Machine:
    """One of the two.

    Attributes:
        name: by which the other reaches it.
        address: at its end of the link.
    """

    def __init__(self, name, address, hosts):
        self.name, self.address = name, address
        first = ["sh", "-c", _FIRST, name, str(hosts)]
        self._outer = subprocess.Popen([*_WITH_US, *_NAMESPACES, *first])
        (self._first,) = until(self._children, f"{name} did not start", 20)
        until(lambda: self._first.name() == "sleep", f"{name} did not start", 20)

    @property
    def pid(self):
        """The process id of its first process, for the rest of this machine."""
        return self._first.pid

    def _children(self):
        assert self._outer.poll() is None, "unshare failed"
        return psutil.Process(self._outer.pid).children()

    def command(self, *words, folder="/"):
        """The words that run a command there, with root's rights, in a folder."""
        spaces = ("--net", "--uts", "--ipc", "--pid", "--mount")
        enter = ["nsenter", f"--target={self.pid}", *spaces, "--"]
        return [*enter, "env", f"--chdir={folder}", *map(str, words)]

    def run(self, *words, folder="/", environment=None, timeout=240):
        """What a command said there; it must succeed."""
        done = subprocess.run(
            self.command(*words, folder=folder),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *words, log, folder="/", environment=None):
        """Start a command there; what it says goes into a file."""
        with log.open("ab") as file:
            return subprocess.Popen(
                [*_WITH_US, *self.command(*words, folder=folder)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )

    def reach(self, address, port):
        """The name of the error that a connection from there meets, if any."""
        return self.run(sys.executable, "-c", _REACH, address, port).strip()

    def is_listening(self, port):
        """Whether something there listens at the machine's address."""
        return f"{self.address}:{port}" in self.run("ss", "-Hltn")

    def cut(self):
        """Pull the link out."""
        self.run("ip", "link", "set", LINK, "down")

    def mend(self):
        """Put it in again."""
        self.run("ip", "link", "set", LINK, "up")

    def end(self):
        """End all of its processes."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._first.kill()
        self._outer.wait(30)


@contextlib.contextmanager
def two_machines(folder, names, network="10.9.0"):
    """Two machines with a link between them; nothing of them is left afterwards."""
    hosts = folder / "hosts"
    rows = [f"{network}.{i} {name}" for i, name in enumerate(names, 1)]
    hosts.write_text("\n".join(["127.0.0.1 localhost", *rows, ""]))
    with contextlib.ExitStack() as stack:
        pair = []
        for number, name in enumerate(names, 1):
            pair.append(Machine(name, f"{network}.{number}", hosts))
            stack.callback(pair[-1].end)
        connect(pair, LINK, network)
        yield pair


def connect(pair, name, network):
    """Put a link between two machines."""
    ends = [["name", name, "netns", str(machine.pid)] for machine in pair]
    link = ["ip", "link", "add", *ends[0], "type", "veth", "peer", *ends[1]]
    subprocess.run(link, check=True)
    for number, machine in enumerate(pair, 1):
        machine.run("ip", "address", "add", f"{network}.{number}/24", "dev", name)
        machine.run("ip", "link", "set", name, "up")


def variables(**own):
    """The environment of a machine that has our programs, and nothing of this one."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    fixed = {"PATH": programs, "HOME": "/root", "LANG": "C.UTF-8"}
    return {**fixed, "PYTHONUNBUFFERED": "1", **own}
