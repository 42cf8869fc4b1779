"""A Dask cluster of real processes on loopback, whose workers can be killed."""

import contextlib
import json
import signal
import subprocess
import sys
import time

WAIT_SECONDS = 300


def until(is_so):
    limit = time.monotonic() + WAIT_SECONDS
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.01)


class Cluster:
    """Real processes of `dask`.

    Attributes:
        address: of the scheduler.
        workers: the processes by their names.
    """

    def __init__(self, place):
        from distributed import Client

        self._place = place
        self._file = place / "scheduler.json"
        self.workers = {}
        self._scheduler = self._start(
            "scheduler", "--port", "0", "--scheduler-file", str(self._file)
        )
        until(self._file.exists)
        self.address = json.loads(self._file.read_text())["address"]
        self._client = Client(self.address)

    def _start(self, kind, *options):
        with (self._place / f"{kind}.log").open("ab") as log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "dask", kind, *options),
                    *("--host", "127.0.0.1", "--no-dashboard"),
                ],
                stdout=log,
                stderr=log,
                cwd=self._place,
            )

    def start(self, *names):
        """Start workers, and wait until the scheduler knows them."""
        for name in names:
            one = ("--nthreads", "1", "--nworkers", "1", "--no-nanny", "--name", name)
            place = str(self._place / name)
            self.workers[name] = self._start(
                "worker", self.address, *one, "--local-directory", place
            )
        self._client.wait_for_workers(len(self.workers), timeout=WAIT_SECONDS)

    def kill(self, name):
        """Kill a worker, as `kill -9` does."""
        process = self.workers.pop(name)
        process.kill()
        process.wait()

    def kill_at_work(self, name):
        """Kill a worker that has done something and is in the middle of the next."""
        process = self.workers[name]
        until(lambda: self._has_work(name))
        while True:
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            if self._has_work(name):
                return self.kill(name)
            process.send_signal(signal.SIGCONT)
            until(lambda: self._has_work(name))

    def _has_work(self, name):
        info = self._client.scheduler_info(n_workers=-1)["workers"]
        addresses = [a for a, worker in info.items() if worker["id"] == name]
        return any(self._client.processing(addresses).values())

    def close(self):
        with contextlib.suppress(Exception):
            self._client.close()
        for process in [*self.workers.values(), self._scheduler]:
            process.kill()
            process.wait()
