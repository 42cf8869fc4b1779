"""The serving gate's clean process: does a loaded model give its golden answers?

The process needs neither MLflow nor settings. It checks the digests of the given files
and loads the model as a server would. Run as a module, this is that process.
"""

from __future__ import annotations

import gc
import hashlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from pydantic import TypeAdapter

from headrace.backend import load_backend
from headrace.errors import DependencyError, IntegrityError
from headrace.media import medium
from headrace.models.logged.loading import open_model
from headrace.records import LoggedModel, Record
from headrace.state.tracking import GOLDEN_FILE

TOLERANCE = 1e-5
LATENCY_CALLS = 50
TIMEOUT_SECONDS = 300


class Request(Record):
    """What the process checks: a logged model, and the paths of its two files."""

    training: LoggedModel
    model: Path
    golden: Path

    @classmethod
    def of(cls, training: LoggedModel, model: Path, golden: bytes) -> Request:
        """A request; the golden file, as it was logged, is written beside the model."""
        file = model.with_name(Path(GOLDEN_FILE).name)
        file.write_bytes(golden)
        return cls(training=training, model=model, golden=file)


class ServingReport(Record):
    """The measurements of the process.

    Attributes:
        difference: the largest absolute difference of an answer from the golden
            outputs, over all forms in which items may be given.
        latency_ms: median of warm calls with one item, milliseconds.
        error: why nothing could be measured; empty if it was.
    """

    difference: float | None = None
    latency_ms: float | None = None
    error: str = ""


_REQUESTS = TypeAdapter(list[Request])
_REPORTS = TypeAdapter(list[ServingReport])


class ServingCheck:
    """The clean process: started at once, and killed when the block ends.

    Args:
        requests: the models to check; their files must exist until the block ends.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._limit_seconds = TIMEOUT_SECONDS * len(requests)
        self._answer = tempfile.TemporaryFile()
        self._errors = tempfile.TemporaryFile()
        reading, writing = os.pipe()
        # When this process ends in any way, this end closes, and the other one ends.
        self._lifeline = open(writing, "wb", buffering=0)
        self._process = subprocess.Popen(
            [sys.executable, "-Pm", "headrace.models.logged.serving_check"],
            stdin=reading,
            stdout=self._answer,
            stderr=self._errors,
        )
        os.close(reading)
        lines = [request.model_dump_json() for request in requests]
        self._lifeline.write(f"[{','.join(lines)}]\n".encode())

    def __enter__(self) -> ServingCheck:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for file in (self._lifeline, self._answer, self._errors):
            file.close()

    def results(self) -> list[ServingReport]:
        """Wait for the process; the reports on the models, in their order.

        Raises:
            DependencyError: it crashed or hung, which is no verdict on a model.
        """
        try:
            code = self._process.wait(timeout=self._limit_seconds)
        except subprocess.TimeoutExpired:
            limit = self._limit_seconds
            raise _no_answer(f"did not answer within {limit} s") from None
        if code:
            output = _read(self._errors).decode(errors="replace").strip()
            last = (output.splitlines() or ["no message"])[-1]
            raise _no_answer(f"ended with {code}: {last[:300]}")
        return _REPORTS.validate_json(_read(self._answer))


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _no_answer(what: str) -> DependencyError:
    return DependencyError(
        f"The clean process of the serving gate {what}.",
        "Run the same command again; with more memory, if it was killed.",
    )


def measure(request: Request) -> ServingReport:
    """Load the model and compare it with the golden outputs."""
    training = request.training
    golden = request.golden.read_bytes()
    if hashlib.sha256(golden).hexdigest() != training.golden_digest:
        error = f"{GOLDEN_FILE} of run {training.run_id} was changed"
        return ServingReport(error=error)
    if hashlib.sha256(request.model.read_bytes()).hexdigest() != training.model_digest:
        return ServingReport(error=f"the file of {training.model_uri} was changed")
    with np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        items, outputs = arrays["items"], arrays["outputs"]
    try:
        model = open_model(request.model, training.model_uri, training.description)
    except IntegrityError as refusal:
        return ServingReport(error=refusal.message)
    module = medium(training.description.medium)
    answers = [model(form) for form in module.variants(items)]
    seconds = []
    for number in range(LATENCY_CALLS + 5):
        row = number % len(items)
        item = module.raw(items[row : row + 1])
        started = time.perf_counter()
        model(item)
        seconds.append(time.perf_counter() - started)
    difference = max(float(np.abs(a - outputs).max()) for a in answers)
    if not np.isfinite(difference):
        return ServingReport(error="the model's answers are not all finite")
    latency_ms = statistics.median(seconds[5:]) * 1000
    return ServingReport(difference=difference, latency_ms=latency_ms)


def main() -> None:
    """Answer the requests of the first line of standard input; JSON on its output."""
    gc.disable()  # the process lives for two seconds
    requests = _REQUESTS.validate_json(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    load_backend(minimal=True)
    reports = [measure(request) for request in requests]
    sys.stdout.write(_REPORTS.dump_json(reports).decode())
    sys.stdout.flush()
    os._exit(0)  # taking TensorFlow down would take longer than the check


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
