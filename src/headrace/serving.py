"""Loads a logged model and guards what it is called with; proves that it serves.

A model is loaded only from the file with the recorded digest, with Keras's safe mode
on. Run as a module, this is the clean process of the serving gate.
"""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import time
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.backend import load_backend
from headrace.errors import DependencyError, IntegrityError, NotFoundError
from headrace.media import medium
from headrace.records import DataDescription, Record, TrainingRecord
from headrace.settings import Settings
from headrace.tracking import Tracking

GOLDEN_FILE = "golden/golden.npz"
TOLERANCE = 1e-5
LATENCY_CALLS = 50
TIMEOUT_SECONDS = 300


class LoadedModel:
    """A model as it is served: raw items in, class probabilities out.

    Args:
        model: the Keras model.
        description: of the data that it was trained on.
        version: in the registry, if it has one.
    """

    def __init__(
        self, model: Any, description: DataDescription, version: int | None = None
    ) -> None:
        self.model = model
        self.description = description
        self.version = version

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels, in the order of the probabilities."""
        return self.description.classes

    def check(self, x: Any) -> npt.NDArray[Any]:
        """The input as ``(n, *shape)``; raises InputError."""
        checked: npt.NDArray[Any] = medium(self.description.medium).check_input(
            x, self.description.shape
        )
        return checked

    def __call__(self, x: Any) -> npt.NDArray[np.float32]:
        """Class probabilities.

        Args:
            x: raw items ``(n, *shape)``; images as uint8 or float32 0..255.

        Returns:
            float32 ``(n, classes)``.

        Raises:
            InputError: a dtype, shape or range that the model must not guess about.
        """
        return np.asarray(self.model(self.check(x), training=False), dtype=np.float32)

    def predict(self, x: Any) -> list[str]:
        """The most probable label of each item."""
        return [self.classes[index] for index in self(x).argmax(axis=1)]


def load_model(
    tracking: Tracking,
    model_uri: str,
    digest: str,
    description: DataDescription,
    version: int | None = None,
) -> LoadedModel:
    """Load a logged model by the digest of its file.

    Raises:
        IntegrityError: the file is gone, changed, or not a safe Keras model.
    """
    load_backend()
    import keras

    with tracking.model_file(model_uri, digest) as path:
        try:
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except (ValueError, TypeError, OSError, KeyError) as error:
            raise IntegrityError(
                f"The model {model_uri} cannot be loaded: {str(error)[:300]}",
                "Restore it from a backup, or train again.",
            ) from error
    return LoadedModel(model, description, version)


def load_champion(name: str, settings: Settings | None = None) -> LoadedModel:
    """The champion of a model, as the ledger has it.

    Raises:
        NotFoundError: there is no champion.
        IntegrityError: its file is gone or changed.
    """
    from headrace.ledger import Ledger

    settings = settings or Settings()
    if settings.home.is_dir():
        settings.prepare_home()
    elif settings.database_url.startswith("sqlite"):
        raise NotFoundError(
            f"There is no home at {settings.home}, so {name!r} has no champion.",
            f"Run `headrace run {name}` first, or set HEADRACE_HOME.",
        )
    champion = Ledger(settings.database_url).champion(name)
    if champion is None:
        raise NotFoundError(
            f"The model {name!r} has no champion in {settings.home}.",
            f"Run `headrace run {name}` first.",
        )
    return load_version(Tracking(settings), champion.version)


def load_version(tracking: Tracking, version: Any) -> LoadedModel:
    """A registered version, from its row in the ledger."""
    return load_model(
        tracking,
        version.model_uri,
        version.model_digest,
        DataDescription.model_validate(version.details["description"]),
        version.version,
    )


def golden_bytes(model: Any, items: npt.NDArray[np.uint8]) -> bytes:
    """Golden inputs and what the trained model answers, as an npz file."""
    buffer = io.BytesIO()
    outputs = np.asarray(model(items, training=False), dtype=np.float32)
    np.savez(buffer, items=items, outputs=outputs)
    return buffer.getvalue()


class ServingReport(Record):
    """What a clean process measured.

    Attributes:
        difference: the largest absolute difference of a probability from the golden
            outputs, over uint8 and float32 inputs.
        latency_ms: median of warm calls with one item, milliseconds.
        error: why it could not be measured; empty if it was.
    """

    difference: float | None = None
    latency_ms: float | None = None
    error: str = ""


class ServingCheck:
    """The serving gate's clean process, started at once and asked later."""

    def __init__(self, training: TrainingRecord, settings: Settings) -> None:
        environment = {
            **os.environ,
            "HEADRACE_PROJECT": str(settings.project.absolute()),
            "HEADRACE_HOME": str(settings.home.absolute()),
            "MLFLOW_TRACKING_URI": settings.tracking_uri,
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-Pm", "headrace.serving", training.model_dump_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )

    def result(self) -> ServingReport:
        """Wait for the process.

        Raises:
            DependencyError: it crashed or hung, which says nothing of the model.
        """
        try:
            out, err = self._process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            raise _no_answer(f"did not answer within {TIMEOUT_SECONDS} s") from None
        if self._process.returncode:
            lines = err.decode(errors="replace").strip().splitlines() or ["no message"]
            raise _no_answer(
                f"ended with {self._process.returncode}: {lines[-1][:300]}"
            )
        return ServingReport.model_validate_json(out)

    def stop(self) -> None:
        """End the process if it is still there."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _no_answer(what: str) -> DependencyError:
    return DependencyError(
        f"The clean process of the serving gate {what}.",
        "Run the same command again; with more memory, if it was killed.",
    )


def measure(training: TrainingRecord, settings: Settings) -> ServingReport:
    """Load the logged model and compare it with the golden outputs."""
    import hashlib

    tracking = Tracking(settings)
    golden = tracking.run_file(training.run_id, GOLDEN_FILE)
    if hashlib.sha256(golden).hexdigest() != training.golden_digest:
        raise IntegrityError(f"{GOLDEN_FILE} of run {training.run_id} was changed.")
    with np.load(io.BytesIO(golden), allow_pickle=False) as arrays:
        items, outputs = arrays["items"], arrays["outputs"]
    model = load_model(
        tracking, training.model_uri, training.model_digest, training.description
    )
    answers = [model(items), model(items.astype(np.float32))]
    seconds = []
    for number in range(LATENCY_CALLS + 5):
        one = items[number % len(items)][np.newaxis]
        started = time.perf_counter()
        model(one)
        seconds.append(time.perf_counter() - started)
    difference = max(float(np.abs(a - outputs).max()) for a in answers)
    if not np.isfinite(difference):
        return ServingReport(error="the model's answers are not all finite")
    return ServingReport(
        difference=difference,
        latency_ms=statistics.median(seconds[5:]) * 1000,
    )


def main() -> None:
    """Measure the training given as the first argument; JSON on standard output."""
    training = TrainingRecord.model_validate_json(sys.argv[1])
    try:
        report = measure(training, Settings())
    except IntegrityError as error:
        report = ServingReport(error=error.message)
    sys.stdout.write(report.model_dump_json())


if __name__ == "__main__":
    main()
