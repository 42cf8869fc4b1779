"""The devices that share a fit, and what is said when one of them fails."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

from headrace.errors import DependencyError, Refusal, SpecError
from headrace.spec import TrainingSpec
from headrace.stages.fitting.cluster import spans_machines

_APART = 1_000_003  # between the seeds of two devices


def choose_devices(spec: TrainingSpec, machines: Any = None) -> Any:
    """The strategy for the devices of this machine, a ``tf.distribute.Strategy``.

    One device needs none, and a machine without a GPU trains on its CPU. Several are
    GPUs; on a machine that has none, the CPUs that TensorFlow was told to pretend.

    Args:
        spec: the recipe.
        machines: the strategy for several machines, all of whose devices take part.

    Raises:
        SpecError: this machine does not have ``training.devices``.
    """
    import tensorflow as tf

    if machines is not None:
        count = len(machines.extended.worker_devices)
        if count != spec.devices:
            raise SpecError(
                f"training.devices is {spec.devices}, but of several machines all "
                f"devices take part, and this one has {count}.",
                f"Set training.devices = {count}, or hide GPUs by "
                "CUDA_VISIBLE_DEVICES.",
            )
        return machines
    if spec.devices == 1:
        return tf.distribute.get_strategy()
    gpus = tf.config.list_logical_devices("GPU")
    found = gpus or tf.config.list_logical_devices("CPU")
    if len(found) < spec.devices:
        raise SpecError(
            f"training.devices is {spec.devices}, but TensorFlow sees "
            f"{len(gpus) or 'no'} GPU{'s' if len(gpus) > 1 else ''} here.",
            "Train on a machine that has as many (nvidia-smi lists them), or lower "
            "training.devices.",
        )
    return _mirrored(tuple(device.name for device in found[: spec.devices]))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """One for all fits of the process: TensorFlow mixes up what two of them send."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def names_of(strategy: Any, device: str) -> str:
    """What this machine's devices are called, such as ``2 x NVIDIA H100``.

    Args:
        strategy: of the devices.
        device: their kind, ``cpu`` or ``gpu``.
    """
    import tensorflow as tf

    alone = strategy.num_replicas_in_sync == 1
    count = 1 if alone else len(strategy.extended.worker_devices)
    details = tf.config.experimental.get_device_details
    found = tf.config.list_physical_devices("GPU")[:count] if device == "gpu" else []
    names = Counter(details(gpu).get("device_name", "gpu") for gpu in found)
    return ", ".join(f"{n} x {name}" for name, n in (names or {device: count}).items())


def scatter_seeds(strategy: Any, model: Any) -> None:
    """Let layers that draw at random draw otherwise on each device.

    All begin from the first one's state, so that a fit that goes on does so exactly.
    """
    import keras
    import tensorflow as tf

    states = [v for v in model.variables if v.path.endswith("seed_generator_state")]
    if strategy.num_replicas_in_sync == 1 or not states:
        return

    def scatter() -> None:
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        for state in states:
            apart = tf.cast(number, state.dtype) * _APART
            state.assign(keras.ops.add(state, [apart, 0]))

    strategy.run(scatter)


@contextlib.contextmanager
def whole_batches(strategy: Any, network: Any) -> Iterator[None]:
    """Let what is traced within normalise over a whole batch, not a device's part."""
    import keras

    if strategy.num_replicas_in_sync == 1:
        yield
        return
    kind = keras.layers.BatchNormalization
    layers = [v for v in network._flatten_layers() if isinstance(v, kind)]
    were = [layer.synchronized for layer in layers]
    for layer in layers:
        layer.synchronized = True
    try:
        yield
    finally:
        for layer, was in zip(layers, were, strict=True):  # as it is saved
            layer.synchronized = was


@contextlib.contextmanager
def told_in_words(spec: TrainingSpec, strategy: Any) -> Iterator[None]:
    """What devices fail with, as an error that a user is meant to read.

    Raises:
        Refusal: a device is out of memory.
        DependencyError: another machine does not answer.
    """
    import tensorflow as tf

    try:
        yield
    except (tf.errors.ResourceExhaustedError, MemoryError) as error:
        raise Refusal(
            f"Out of memory in train, with training.batch_size = {spec.batch_size}.",
            "Lower training.batch_size.",
        ) from error
    except (
        tf.errors.UnavailableError,
        tf.errors.DeadlineExceededError,
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.InternalError,
    ) as error:
        if not spans_machines(strategy):
            raise
        raise DependencyError(
            f"Another machine of TF_CONFIG does not answer ({type(error).__name__}).",
            "See that all of them run and reach each other, and run the same command "
            "again: it goes on at the last checkpoint.",
        ) from error
