"""A container engine of our own, shut in namespaces that end with it.

Its daemon, containers, bridges and rules have a network, processes and mounts of their
own. The machine has none of them, and the kernel ends them all with the first process
of the namespaces, whatever ends that: a failure, Ctrl-C, or a kill of the tests.
"""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from tests.engine.needs import need_root_and
from tests.waiting import until

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
CACHE /= "headrace/engine"
CGROUP = "headrace-engine"
# Version 1 weighs all containers together as one process of the machine.
CPU_SHARES = "8192"
KEPT_LAYERS = "12gb"
# They end with the tests, even if those are killed.
_WITH_US = ("setpriv", "--pdeathsig", "KILL")
_NAMESPACES = ("unshare", "--net", "--pid", "--mount", "--mount-proc", "--fork")
# /run is private, so that the daemon finds no containerd of the machine.
_FIRST = "mount -t tmpfs tmpfs /run && ip link set lo up && exec tini -- sleep infinity"


def ask(*command, **options):
    """How a command ended, and what it said."""
    options = {"capture_output": True, "text": True, **options}
    check = options.pop("check", False)
    return subprocess.run([str(word) for word in command], check=check, **options)


def need_an_engine():
    """Skip, and say why, where an engine cannot be started."""
    need_root_and("dockerd", "docker", "containerd", "runc", "tini", "mmdebstrap")
    need_root_and("iptables", "ip", "slirp4netns", "unshare", "nsenter", "setpriv")
    need_root_and("npm", "git", "openssl", "curl")
    for plugin in ("compose", "buildx"):
        if ask("docker", plugin, "version").returncode != 0:
            pytest.skip(f"needs docker {plugin}")
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs /dev/net/tun")


def free_network():
    """A private network of 65,536 addresses that no route of the machine leads to."""
    said = ask("ip", "-json", "route", check=True).stdout
    routes = {route["dst"] for route in json.loads(said)} - {"default"}
    taken = [ipaddress.ip_network(route) for route in routes]
    for second in range(64, 256):
        network = ipaddress.ip_network(f"10.{second}.0.0/16")
        if not any(network.overlaps(one) for one in taken):
            return network
    raise AssertionError("no private network is free")


class Engine:
    """A daemon in namespaces.

    Attributes:
        folder: its socket, logs and the like; removed at the end.
        data: images and layers, which stay for the next time.
        address: of the machine that its containers see.
        pid: the process id of the first process of the namespaces.
        environment: for its clients.
    """

    def __init__(self, folder: Path, data: Path):
        self.folder, self.data = folder, data
        self._lock = None
        self._processes: list[subprocess.Popen[bytes]] = []
        self._daemon: subprocess.Popen[bytes] | None = None
        self.network = free_network()
        self.address = str(self.network[100])
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("DOCKER_")},
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "DOCKER_CONFIG": str(folder),
        }

    def open(self):
        """Make the namespaces, with a way out, and start the daemon in them."""
        self.data.mkdir(parents=True, exist_ok=True)
        self._lock = (self.data.parent / f"{self.data.name}.lock").open("a+")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._remove_folder_of_a_killed_session()
        remove_cgroups()
        shares = Path(f"/sys/fs/cgroup/cpu/{CGROUP}/cpu.shares")
        if Path("/sys/fs/cgroup/cpu/cpu.shares").exists():
            shares.parent.mkdir()
            shares.write_text(CPU_SHARES)
        outer = self._start(*_NAMESPACES, "--kill-child", "sh", "-c", _FIRST)
        inner = until(lambda: psutil.Process(outer.pid).children(), "no namespaces")
        self.pid = str(inner[0].pid)
        until(lambda: inner[0].name() == "tini", "the namespaces are not ready")
        self._open_way_out()
        (self.folder / "daemon.json").write_text("{}")
        self.start()
        self._remove_what_was_left()

    def _remove_folder_of_a_killed_session(self):
        """The file that is locked names it."""
        self._lock.seek(0)
        if left := self._lock.read():
            shutil.rmtree(left, ignore_errors=True)
        self._lock.truncate(0)
        self._lock.write(str(self.folder))
        self._lock.flush()

    def _open_way_out(self):
        """Connections leave as those of a process, so the machine routes nothing."""
        reading, writing = os.pipe()
        cidr = f"{self.network[0]}/24"
        command = ["slirp4netns", "--configure", "--disable-host-loopback"]
        command += ["--cidr", cidr, "--mtu", "1500", "--ready-fd", str(writing)]
        self._start(*command, self.pid, "tap0", pass_fds=[writing])
        os.close(writing)
        with os.fdopen(reading) as ready:
            assert ready.read(), (self.folder / "slirp4netns.log").read_text()

    def _start(self, *command, **options):
        log = (self.folder / f"{command[0]}.log").open("ab")
        process = subprocess.Popen(
            [*_WITH_US, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        log.close()
        self._processes.append(process)
        return process

    def start(self):
        """Start the daemon, and wait until it answers."""
        command = ["nsenter", "--target", self.pid, "--net", "--pid", "--mount"]
        command += ["dockerd", "--data-root", str(self.data)]
        command += ["--exec-root", str(self.folder / "exec")]
        command += ["--pidfile", str(self.folder / "docker.pid")]
        command += ["--config-file", str(self.folder / "daemon.json")]
        command += ["--host", self.environment["DOCKER_HOST"]]
        command += ["--storage-driver", "overlay2", "--cgroup-parent", f"/{CGROUP}"]
        command += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
        command += ["--dns", str(self.network[3])]
        command += ["--bip", f"{self.network[257]}/24"]
        command += ["--default-address-pool", f"base={self.network[32768]}/17,size=24"]
        self._daemon = self._start(*command)
        until(self._answers, "the daemon does not answer", 120)

    def _answers(self):
        if self._daemon.poll() is not None:
            pytest.fail((self.folder / "nsenter.log").read_text()[-3000:])
        return ask("docker", "version", env=self.environment).returncode == 0

    def stop(self):
        """End the daemon as a machine does, and its containers with it."""
        if self._daemon is not None:
            pid = (self.folder / "docker.pid").read_text()
            self.kill(pid, "TERM")
            self._daemon.wait(timeout=120)
            self._daemon = None

    def kill(self, pid, name="KILL"):
        """Send a signal to a process that the daemon knows by a number."""
        inside = ("nsenter", "--target", self.pid, "--pid")
        ask(*inside, "kill", f"-{name}", pid, check=True)

    def run(self, *command, check=True, **options):
        """Run a command of the machine in the network of the daemon."""
        variables = {**self.environment, **options.pop("variables", {})}
        inside = ("nsenter", "--target", self.pid, "--net")
        done = ask(*inside, *command, env=variables, **options)
        if check and done.returncode != 0:
            said = (done.stdout[-4000:], done.stderr[-4000:])
            pytest.fail("\n".join([" ".join(map(str, command)), *said]))
        return done

    @contextlib.contextmanager
    def beside(self, *command):
        """Have a command run in the network of the daemon while a block does."""
        process = self._start("nsenter", "--target", self.pid, "--net", *command)
        try:
            yield
        finally:
            process.terminate()

    def docker(self, *arguments, **options):
        """What a docker command says on standard output."""
        return self.run("docker", *arguments, **options).stdout.strip()

    def _remove_what_was_left(self):
        """By a session that was killed; and all images that no tag names any more."""
        for container in self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", container)
        self.docker("volume", "prune", "--force", "--all")
        self.docker("network", "prune", "--force")
        self.docker("image", "prune", "--force")
        self.docker("builder", "prune", "--force", "--keep-storage", KEPT_LAYERS)

    @property
    def is_open(self):
        """Whether it has namespaces."""
        return bool(self._processes)

    def close(self):
        """End all of it; the images stay."""
        with contextlib.suppress(Exception):
            self.stop()
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self._processes.clear()
        until(lambda: not remove_cgroups(), "control groups are left", 30)
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()


def remove_cgroups():
    """Remove the daemon's control groups; returns those that are in use."""
    root = Path("/sys/fs/cgroup")
    found = [
        place for pattern in (CGROUP, f"*/{CGROUP}") for place in root.glob(pattern)
    ]
    for place in found:
        for folder, _, _ in os.walk(place, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)
    return [place for place in found if place.exists()]
