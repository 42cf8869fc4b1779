"""The serving gate's clean process: does a loaded model give its golden answers?

The process needs neither MLflow nor settings. It checks the digests of the given files
and loads the model as a server would. In a run it is forked as soon as Keras is
imported, before anything of a training exists; else a new process runs this module.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from headrace.errors import IntegrityError
from headrace.imports.backend import import_backend, load_backend
from headrace.models.logged.golden import Golden
from headrace.models.logged.loading import open_model
from headrace.records import LoggedModel, Record
from headrace.state import children
from headrace.state.frames import Answer, FramedProcess, Header, answer_frames
from headrace.state.tracking import GOLDEN_FILE

MODULE = "headrace.models.logged.serving_check"
LATENCY_CALLS = 50
TIMEOUT_SECONDS = 300.0  # for each model
_NAME = "clean process of the serving gate"


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


_spares: list[FramedProcess] = []


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
            _spares.append(FramedProcess(MODULE, _NAME, fork=main))


def _take_spare() -> FramedProcess | None:
    """The forked process, unless it was killed meanwhile; a training may take hours."""
    if not _spares:
        return None
    spare = _spares.pop()
    if spare.code is None:
        return spare
    spare.close()
    return None


class ServingCheck(contextlib.AbstractContextManager["ServingCheck"]):
    """The clean process: at work at once, and killed when the block ends.

    Args:
        requests: the models to check; their files must exist until the block ends.

    Raises:
        DependencyError: it ended at once.
    """

    def __init__(self, requests: Sequence[CheckRequest]) -> None:
        self._limit_seconds = TIMEOUT_SECONDS * len(requests)
        self._process = _take_spare() or FramedProcess(MODULE, _NAME)
        asked = [request.model_dump(mode="json") for request in requests]
        self._process.ask({"requests": asked})

    def __exit__(self, *_: object) -> None:
        self._process.close()

    def results(self) -> list[ServingReport]:
        """Wait for the process; the reports on the models, in their order.

        Raises:
            DependencyError: it crashed or hung, which is no verdict on a model.
            UsageError: a model needs a package that is not installed.
        """
        header, _ = self._process.answer(self._limit_seconds)
        return [ServingReport.model_validate(report) for report in header["reports"]]


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


def _begin(header: Header) -> tuple[Answer, Header]:
    gc.disable()  # the process lives for two seconds
    requests = [CheckRequest.model_validate(one) for one in header["requests"]]
    load_backend(minimal=True)
    reports = [measure(request).model_dump(mode="json") for request in requests]
    return lambda header, body: ({}, b""), {"reports": reports}


def main() -> None:
    """Answer the requests of the first frame."""
    answer_frames(_begin)


if __name__ == "__main__":
    main()
