"""Imports Keras with the TensorFlow backend, without TensorFlow's start-up messages."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.imports import hidden
from headrace.settings import variable

if TYPE_CHECKING:
    import numpy.typing as npt

    Compute = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]
    Shape = tuple[int | None, ...]

_compiled: weakref.WeakKeyDictionary[Any, Compute] = weakref.WeakKeyDictionary()
_compiling = threading.Lock()


def layers_of(model: Any) -> list[Any]:
    """A Keras layer or model, and all layers in it, also those within others.

    Keras has no public way to the layers that a layer holds.
    """
    layers: list[Any] = model._flatten_layers()
    return layers


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
    with _quiet_stderr(), hidden(_OPTIONAL if minimal else ()):
        import keras  # noqa: F401
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")  # else it warns of each retracing


def compiled(model: Any) -> Compute:
    """A Keras model as one function, traced once, for any number of items.

    It answers one item in two thirds of the time of ``predict_on_batch``, which traces
    each number of items anew.

    Args:
        model: with one input and one output.

    Returns:
        a function from ``(n, *shape)`` to ``(n, ...)``, which threads may share.
    """
    with _compiling:
        if model not in _compiled:
            import keras

            is_tensorflow = keras.backend.backend() == "tensorflow"
            _compiled[model] = _traced(model) if is_tensorflow else _alone(model)
        return _compiled[model]


def _alone(model: Any) -> Compute:
    lock = threading.Lock()  # other backends keep a state of the model

    def answer(items: npt.NDArray[Any]) -> Any:
        with lock:
            return model.predict_on_batch(items)

    return answer


def _traced(model: Any) -> Compute:
    import numpy as np
    import tensorflow as tf

    first = model.inputs[0]
    spec = tf.TensorSpec((None, *first.shape[1:]), first.dtype)
    ref = weakref.ref(model)  # else the model would be kept by what is kept for it
    traced = tf.function(lambda x: ref()(x, training=False), autograph=False)  # type: ignore[misc]
    function = traced.get_concrete_function(spec)
    # TensorFlow converts whole numbers in a third of the time of NumPy.
    return lambda items: np.asarray(function(tf.cast(tf.constant(items), spec.dtype)))


def repeated(
    step: Any, fixed: Sequence[tuple[Shape, str]], carried: Sequence[tuple[Shape, str]]
) -> Any:
    """A step that is repeated in one compiled loop, traced once.

    Args:
        step: from an input ``(rows, 1)``, what is fixed and what is carried to an
            output ``(rows, 1)`` and what is carried on, of Keras's operations:
            ``step(input, *fixed, *carried)`` to ``(output, *carried)``.
        fixed: the shape and the dtype of each value that all steps share.
        carried: those of each value that is carried.

    Returns:
        a function of float32 inputs ``(steps, rows)``, of what is fixed and of what is
        carried, that returns int32 outputs ``(steps, rows)`` and what is carried on.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return functools.partial(_repeat, step, len(fixed))
    import tensorflow as tf

    def run(inputs: Any, *values: Any) -> Any:
        steps, inputs = tf.shape(inputs)[0], tf.expand_dims(inputs, 2)
        same = values[: len(fixed)]  # what is not carried costs nothing in a step

        def advance(number: Any, outputs: Any, *values: Any) -> Any:
            output, *values = step(tf.gather(inputs, number), *same, *values)
            return number + 1, outputs.write(number, output), *values

        begin = tf.constant(0), tf.TensorArray(tf.int32, steps)
        _, outputs, *values = tf.while_loop(
            lambda number, *_: number < steps, advance, (*begin, *values[len(fixed) :])
        )
        return tf.squeeze(outputs.stack(), 2), *values

    @functools.cache
    def compiled(rows: int | None) -> Any:
        given = [*fixed, *carried]
        shapes = [(s if s[:1] != (None,) else (rows, *s[1:]), t) for s, t in given]
        signature = [tf.TensorSpec((None, rows), tf.float32)]
        signature += [tf.TensorSpec(shape, dtype) for shape, dtype in shapes]
        function = tf.function(run, input_signature=signature, autograph=False)
        return function.get_concrete_function()

    # A loop for one row knows all shapes, and takes two thirds of the time.
    return lambda inputs, *values: compiled(1 if inputs.shape[1] == 1 else None)(
        inputs, *values
    )


def count_below(rising: Any, values: Any) -> Any:
    """How many numbers of a row are at most as large as a value.

    Args:
        rising: numbers in ascending order, a tensor ``(rows, n)``.
        values: of the same dtype, ``(rows, m)``.

    Returns:
        int32 ``(rows, m)``.
    """
    import keras
    from keras import ops

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.raw_ops.UpperBound(sorted_inputs=rising, values=values)
    below = ops.less_equal(rising[:, None], values[:, :, None])
    return ops.sum(ops.cast(below, "int32"), axis=2)


def _repeat(step: Any, fixed: int, inputs: Any, *values: Any) -> Any:
    from keras import ops

    outputs, same, carried = [], values[:fixed], values[fixed:]
    for row in inputs:
        output, *carried = step(row[:, None], *same, *carried)
        outputs.append(output[:, 0])
    return ops.stack(outputs), *carried


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


def ctc_losses(targets: Any, logits: Any, padding: int) -> Any:
    """The loss of connectionist temporal classification of each row, ``(batch,)``.

    On a CPU it is TensorFlow's kernel for sparse labels, which takes an eighth of the
    time of `keras.ops.ctc_loss`. That is used on other devices and backends, where the
    kernel is missing, or cannot be compiled.

    Args:
        targets: indices ``(batch, longest)``.
        logits: ``(batch, steps, indices + 1)``, the blank last, float32.
        padding: fills up the targets.
    """
    import keras

    if keras.backend.backend() == "tensorflow" and not has_gpu():
        return _sparse_ctc_losses(targets, logits, padding)
    rows, steps = keras.ops.shape(logits)[0], keras.ops.shape(logits)[1]
    is_used = keras.ops.not_equal(targets, padding)
    return keras.ops.ctc_loss(
        keras.ops.where(is_used, targets, 0),
        logits,
        keras.ops.sum(keras.ops.cast(is_used, "int32"), axis=1),
        keras.ops.full((rows,), steps, "int32"),
        mask_index=logits.shape[2] - 1,
    )


def has_gpu() -> bool:
    """Whether TensorFlow has a GPU here."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _sparse_ctc_losses(targets: Any, logits: Any, padding: int) -> Any:
    import tensorflow as tf

    places = tf.where(tf.not_equal(targets, padding))
    labels = tf.SparseTensor(
        places,
        tf.cast(tf.gather_nd(targets, places), tf.int32),
        tf.cast(tf.shape(targets), tf.int64),
    )
    shape = tf.shape(logits)
    return tf.compat.v1.nn.ctc_loss(
        labels,
        logits,
        tf.fill([shape[0]], shape[1]),
        ignore_longer_outputs_than_inputs=True,
        time_major=False,
    )


def saved_model(folder: Path) -> tuple[Compute, npt.DTypeLike]:
    """A SavedModel that Keras has exported, as a function, and its input's dtype."""
    import numpy as np
    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    spec = loaded.serve.input_signature[0]
    dtype = np.dtype(object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype)
    return lambda items: loaded.serve(tf.constant(items, spec.dtype)).numpy(), dtype
