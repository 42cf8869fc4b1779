"""Imports Keras with the TensorFlow backend, without TensorFlow's start-up messages."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

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


def load_backend(*, minimal: bool = False, threads: int = 0) -> None:
    """Import Keras and TensorFlow, and start TensorFlow; idempotent.

    Args:
        minimal: see `import_backend`.
        threads: of TensorFlow, for one operation and for several; 0: its choice. Only
            the first call of a process can set them.
    """
    import_backend(minimal=minimal)
    if not variable("TF_CONFIG"):  # distributed workers must connect first
        _start(threads)


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


_started: list[int] = []  # the threads that TensorFlow was started with


def _start(threads: int) -> None:
    """Have TensorFlow find its devices, which it tells on standard error."""
    import tensorflow as tf

    if _started:
        return
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    with _quiet_stderr():
        tf.constant(0)
    _started.append(threads)


def compiled(model: Any) -> Callable[[Any], Any]:
    """A Keras model as one traced function of its input, for any number of items.

    Args:
        model: with one input and one output.

    Returns:
        a function from an array ``(n, ...)`` of the input's type, n > 0, to an array
        ``(n, ...)``.
    """
    import keras
    import numpy as np

    if keras.backend.backend() != "tensorflow":
        return lambda items: np.asarray(model.predict_on_batch(items))
    import tensorflow as tf

    first = model.inputs[0]
    spec = tf.TensorSpec((None, *first.shape[1:]), first.dtype)
    traced = tf.function(lambda items: model(items, training=False))
    function = traced.get_concrete_function(spec)
    return lambda items: function(tf.constant(items, spec.dtype)).numpy()
