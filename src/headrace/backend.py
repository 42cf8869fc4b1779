"""Imports Keras on TensorFlow, without TensorFlow's start-up chatter."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator

from headrace.settings import variable


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Point file descriptor 2 away: the C++ side writes there before it can be told."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


# What Keras takes of other libraries, where they are installed, as it is imported.
_OPTIONAL = ("matplotlib", "pandas", "scipy", "sklearn")


@contextlib.contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    """Let modules that are not imported yet appear to be missing."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def load_backend(*, alone: bool = False) -> None:
    """Import Keras and TensorFlow; quick when they are there already.

    Args:
        alone: without what Keras has for users of other libraries (pandas frames,
            wrappers for scikit-learn, pictures), which takes a third of the time.
            For processes in which nobody else uses Keras.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Otherwise TensorFlow takes all memory of a GPU at once, and others have none.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with _quiet_stderr(), _hidden(_OPTIONAL if alone else ()):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # it warns of each shape that is traced
        if not variable("TF_CONFIG"):  # machines connect before anything else
            tf.constant(0)
