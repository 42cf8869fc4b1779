"""Prints what scoring 400,000 images in parts on Dask costs, as JSON.

Usage: ``python -m tests.benchmarks.score_parts HOME``, of a home with a champion of
``digits``. The images are a Parquet table of PNG files. They are scored by one process,
by two workers of one thread each, and by two of which one is killed at half the rows.
Memory is the peak of the resident set, of the command and of a worker.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.blobs import png
from tests.engine.clusters import Cluster, until

from .images import CHUNK_ROWS, packaged, vary

ROWS = int(os.environ.get("ROWS", "400000"))


def write_table(path: Path, rows: int) -> None:
    """A table of PNG files, made of the packaged digits."""
    images, _ = packaged()
    stream = np.random.default_rng(1)
    schema = pa.schema({"image": pa.binary()})
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, CHUNK_ROWS):
            count = min(CHUNK_ROWS, rows - start)
            chosen = images[stream.integers(0, len(images), count)]
            files = [png(image) for image in vary(chosen, stream)]
            writer.write_table(pa.table({"image": files}, schema))


def peak_mebibytes(process: int) -> int:
    """The peak of a living process's resident set."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    raise ValueError(process)


class Scoring:
    """Scores a table with the champion of a home, and says what that took."""

    def __init__(self, home: str, folder: Path) -> None:
        self._home, self._folder = home, folder
        self._source = folder / "images.parquet"
        write_table(self._source, ROWS)

    def run(self, workers: tuple[str, ...] = (), kill: str = "") -> dict[str, Any]:
        """Score, on a cluster if there are workers.

        Args:
            workers: their names.
            kill: the one that is killed once half of the parts are done.
        """
        before = _cpu_seconds()
        with contextlib.ExitStack() as stack:
            address, cluster = "", None
            if workers:
                place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                cluster = stack.enter_context(contextlib.closing(Cluster(place)))
                cluster.start(*workers)
                address = cluster.address
            found = self._score(address, cluster, kill)
        return {**found, "cpu": round(_cpu_seconds() - before, 1)}

    def _score(self, address: str, cluster: Any, kill: str) -> dict[str, Any]:
        output, began = self._folder / "scores.parquet", time.perf_counter()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "headrace_cli", "score", "digits"),
                *(str(self._source), str(output), "--json"),
            ],
            env={
                **os.environ,
                "HEADRACE_HOME": self._home,
                "HEADRACE_DASK_ADDRESS": address,
            },
            stdout=subprocess.PIPE,
            text=True,
        )
        peaks = [0]
        watch = threading.Thread(target=_watch, args=(process, peaks))
        watch.start()
        if kill:
            done, half = Path(self._home) / "store/scores", ROWS // 8192 // 2
            until(lambda: len([*done.glob("*/*.arrow")]) >= half)
            cluster.kill_at_work(kill)
        out, _ = process.communicate()
        wall = time.perf_counter() - began
        watch.join()
        left = cluster.workers.values() if cluster else ()
        return {
            "rows": json.loads(out)["rows"],
            "wall": round(wall, 1),
            "peak": peaks[0],
            "peak_of_worker": max((peak_mebibytes(one.pid) for one in left), default=0),
            "sha256": hashlib.sha256(output.read_bytes()).hexdigest()[:12],
        }


def _cpu_seconds() -> float:
    """Of all processes that were started here and have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _watch(process: subprocess.Popen[str], peaks: list[int]) -> None:
    while process.poll() is None:
        with contextlib.suppress(OSError, ValueError):
            peaks[0] = max(peaks[0], peak_mebibytes(process.pid))
        time.sleep(0.2)


def main() -> None:
    """Measure one process, two workers, and two of which one is killed."""
    with tempfile.TemporaryDirectory() as folder:
        scoring = Scoring(sys.argv[1], Path(folder))
        both = ("one", "two")
        found = {
            "one process": scoring.run(),
            "one worker": scoring.run(("one",)),
            "two workers": scoring.run(both),
            "one of two killed": scoring.run(both, kill="one"),
        }
    sys.stdout.write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
