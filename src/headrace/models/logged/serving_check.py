"""The serving gate's clean process: does a loaded model give its golden answers?

The process needs neither MLflow nor settings. It checks the digests of the given files
and loads the model as a server would. In a run it is forked as soon as Keras is
imported, before anything of a training exists; else a new process runs this module.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np
from pydantic import TypeAdapter

from headrace.errors import DependencyError, IntegrityError, UsageError
from headrace.imports.backend import import_backend, load_backend
from headrace.models.logged.golden import Golden
from headrace.models.logged.loading import open_model
from headrace.records import LoggedModel, Record
from headrace.state import children
from headrace.state.tracking import GOLDEN_FILE

MODULE = "headrace.models.logged.serving_check"
LATENCY_CALLS = 50
TIMEOUT_SECONDS = 300


class CheckRequest(Record):
    """What the process checks: a logged model, and the paths of its two files."""

    training: LoggedModel
    model: Path
    golden: Path

    @classmethod
    def of(cls, training: LoggedModel, model: Path, golden: bytes) -> CheckRequest:
        """A request; the golden file, as it was logged, is written beside the model."""
        file = model.with_name(Path(GOLDEN_FILE).name)
        file.write_bytes(golden)
        return cls(training=training, model=model, golden=file)


class ServingReport(Record):
    """The measurements of the process.

    Attributes:
        difference: the largest difference of an answer from the golden outputs, over
            all forms in which items may be given; see `Golden`.
        latency_ms: median of warm calls with one item, milliseconds.
        error: why nothing could be measured; empty if it was.
    """

    difference: float | None = None
    latency_ms: float | None = None
    error: str = ""


_REQUESTS = TypeAdapter(list[CheckRequest])
_REPORTS = TypeAdapter(list[ServingReport])


class _Running:
    """The clean process, as it runs, and its files.

    Attributes:
        process: the process.
        lifeline: takes the requests. When this process ends in any way, it closes, and
            the other one ends.
        answer, errors: its standard output and error.
    """

    def __init__(self, *, is_forked: bool = False) -> None:
        self.answer, self.errors = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        reading, writing = os.pipe()
        self.lifeline = open(writing, "wb", buffering=0)
        start = partial(children.start, MODULE)
        if is_forked:
            start = partial(children.fork, "serving-check", _answer)
        self.process: subprocess.Popen[bytes] = start(
            stdin=reading, stdout=self.answer, stderr=self.errors
        )
        os.close(reading)

    def end(self) -> None:
        """Kill the process, and wait for its end."""
        self.process.kill()
        self.process.wait()
        for file in (self.lifeline, self.answer, self.errors):
            file.close()


def _answer() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process ends it
    main()


_spares: list[_Running] = []


def keep_spare() -> None:
    """Import Keras, unless it is imported, and fork the process for the next check."""
    if "keras" not in sys.modules:
        import_backend(minimal=True)
        fork_spare()


def fork_spare() -> None:
    """Fork the process for the next check, where that is safe.

    It imports nothing again, and knows no more than a new one would: to be called
    before the pipeline's code is imported, and before TensorFlow is started.
    """
    if not _spares and children.can_fork():
        with contextlib.suppress(OSError):  # too many processes, or too little memory
            _spares.append(_Running(is_forked=True))


def _take_spare() -> _Running | None:
    """The forked process, unless it was killed meanwhile; a training may take hours."""
    if not _spares:
        return None
    spare = _spares.pop()
    try:
        spare.process.wait(timeout=0)
    except subprocess.TimeoutExpired:
        return spare
    spare.end()
    return None


class ServingCheck(contextlib.AbstractContextManager["ServingCheck"]):
    """The clean process: at work at once, and killed when the block ends.

    Args:
        requests: the models to check; their files must exist until the block ends.
    """

    def __init__(self, requests: Sequence[CheckRequest]) -> None:
        self._limit_seconds = TIMEOUT_SECONDS * len(requests)
        self._running = _take_spare() or _Running()
        try:
            self._running.lifeline.write(_REQUESTS.dump_json([*requests]) + b"\n")
        except OSError as error:
            self._running.end()
            raise _no_answer(f"ended at once: {error.strerror}") from error

    def __exit__(self, *_: object) -> None:
        self._running.end()

    def results(self) -> list[ServingReport]:
        """Wait for the process; the reports on the models, in their order.

        Raises:
            DependencyError: it crashed or hung, which is no verdict on a model.
            UsageError: a model needs a package that is not installed.
        """
        try:
            code = self._running.process.wait(timeout=self._limit_seconds)
        except subprocess.TimeoutExpired:
            limit = self._limit_seconds
            raise _no_answer(f"did not answer within {limit} s") from None
        if code:
            output = _read(self._running.errors)
            if code == UsageError.exit_code:
                lines = output.decode(errors="replace").strip().splitlines()
                raise UsageError(*lines[-2:])
            raise _no_answer(children.ending(code, output))
        return _REPORTS.validate_json(_read(self._running.answer))


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _no_answer(what: str) -> DependencyError:
    return DependencyError(
        f"The clean process of the serving gate {what}.",
        "Run the same command again; with more memory, if it was killed.",
    )


def measure(request: CheckRequest) -> ServingReport:
    """Load the model and compare it with the golden outputs."""
    training = request.training
    golden = request.golden.read_bytes()
    if hashlib.sha256(golden).hexdigest() != training.golden_digest:
        error = f"{GOLDEN_FILE} of run {training.run_id} was changed"
        return ServingReport(error=error)
    if hashlib.sha256(request.model.read_bytes()).hexdigest() != training.model_digest:
        return ServingReport(error=f"the file of {training.model_uri} was changed")
    try:
        model = open_model(request.model, training.model_uri, training.description)
        given = Golden.read(golden)
    except IntegrityError as refusal:
        return ServingReport(error=refusal.message)
    measured = given.measure(model, training.description, LATENCY_CALLS)
    if not np.isfinite(measured.difference):
        return ServingReport(error="the model's answers are not all finite")
    return ServingReport(**measured._asdict())


def main() -> None:
    """Answer the requests of the first line of standard input; JSON on its output."""
    gc.disable()  # the process lives for two seconds
    line = sys.stdin.buffer.readline()
    if not line:
        os._exit(0)  # the other process has ended
    requests = _REQUESTS.validate_json(line)
    children.end_with_parent()
    load_backend(minimal=True)
    try:
        reports = [measure(request) for request in requests]
    except UsageError as error:
        sys.stderr.write(f"\n{error.message}\n{error.action}\n")
        sys.stderr.flush()
        os._exit(error.exit_code)
    sys.stdout.write(_REPORTS.dump_json(reports).decode())
    sys.stdout.flush()
    os._exit(0)  # taking TensorFlow down would take longer than the check


if __name__ == "__main__":
    main()
