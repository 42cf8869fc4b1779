"""Imports Keras with the TensorFlow backend, without TensorFlow's start-up messages."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterable, Iterator

from headrace.settings import variable


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Redirect file descriptor 2, to which TensorFlow's C++ code writes at import."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as null:
            os.dup2(null.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


# Optional dependencies that Keras imports where they are installed.
_OPTIONAL = ("matplotlib", "pandas", "scipy", "sklearn")


@contextlib.contextmanager
def _hidden(names: Iterable[str]) -> Iterator[None]:
    """Make modules that are not imported yet appear to be missing."""
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def load_backend(*, minimal: bool = False) -> None:
    """Import Keras and TensorFlow, and start TensorFlow; idempotent.

    Args:
        minimal: see `import_backend`.
    """
    import_backend(minimal=minimal)
    if not variable("TF_CONFIG"):  # distributed workers must connect first
        _start()


def import_backend(*, minimal: bool = False) -> None:
    """Import Keras and TensorFlow, which starts no thread; idempotent.

    Args:
        minimal: without the integrations of optional dependencies (pandas frames,
            wrappers for scikit-learn, plots), which take a third of the time. For
            processes in which only Headrace uses Keras.
    """
    if "keras" in sys.modules:
        return
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Otherwise TensorFlow reserves all memory of a GPU.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    with _quiet_stderr(), _hidden(_OPTIONAL if minimal else ()):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # else it warns of each retracing


@functools.cache
def _start() -> None:
    """Have TensorFlow find its devices, which it tells on standard error."""
    import tensorflow as tf

    with _quiet_stderr():
        tf.constant(0)
