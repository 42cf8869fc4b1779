"""The execution of the steps: the devices that share a fit, and what follows from them.

It depends on the spec, the form of the data and the devices alone.
"""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.errors import DependencyError, Refusal, SpecError
from headrace.imports.backend import layers_of
from headrace.pipeline import TrainingSpec
from headrace.stages.fitting.cluster import spans_machines
from headrace.stages.fitting.precision import FLOAT32, MIXED
from headrace.stages.processes import processors

_APART = 1_000_003  # between the seeds of two devices
WINDOW_BYTES = 2**26
STEPS_PER_CALL = 64
BYTES_PER_CALL = 2**23
LEAST_XLA_STEPS = 3_000
MOST_XLA_PRODUCTS = 2**28  # of a weight and a row, in a step
_SUITED_TO_XLA = {
    *("Activation", "BatchNormalization", "Dense", "Dropout", "Flatten", "Functional"),
    *("InputLayer", "ReLU", "Rescaling", "Sequential", "Softmax"),
}


def choose_devices(spec: TrainingSpec, machines: Any = None) -> Any:
    """The strategy for the devices of this machine, a ``tf.distribute.Strategy``.

    One device gets TensorFlow's default strategy. Several devices are GPUs, or virtual
    CPUs on a machine without a GPU.

    Args:
        spec: the recipe.
        machines: the strategy for several machines, with all of their devices.

    Raises:
        SpecError: ``training.devices`` is not the number of devices here.
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
    devices = gpus or tf.config.list_logical_devices("CPU")
    if len(devices) < spec.devices:
        raise SpecError(
            f"training.devices is {spec.devices}, but TensorFlow sees "
            f"{len(gpus) or 'no'} GPU{'s' if len(gpus) > 1 else ''} here.",
            "Train on a machine that has as many (nvidia-smi lists them), or lower "
            "training.devices.",
        )
    return _mirrored(tuple(device.name for device in devices[: spec.devices]))


@functools.cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """One strategy for all fits of the process: TensorFlow mixes up messages of two."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def names_of(strategy: Any, device: str) -> str:
    """The names of this machine's devices, such as ``2 x NVIDIA H100``.

    Args:
        strategy: of the devices.
        device: their kind, ``cpu`` or ``gpu``.
    """
    import tensorflow as tf

    alone = strategy.num_replicas_in_sync == 1
    count = 1 if alone else len(strategy.extended.worker_devices)
    details = tf.config.experimental.get_device_details
    gpus = tf.config.list_physical_devices("GPU")[:count] if device == "gpu" else []
    names = Counter(details(gpu).get("device_name", "gpu") for gpu in gpus)
    return ", ".join(f"{n} x {name}" for name, n in (names or {device: count}).items())


def scatter_seeds(strategy: Any, variables: Sequence[Any]) -> None:
    """Give random layers another seed on each device.

    The seeds are computed from the first device's, so that a fit resumes exactly.
    """
    import keras
    import tensorflow as tf

    states = [v for v in variables if v.path.endswith("seed_generator_state")]
    if strategy.num_replicas_in_sync == 1 or not states:
        return

    def scatter() -> None:
        number = tf.distribute.get_replica_context().replica_id_in_sync_group
        for state in states:
            apart = tf.cast(number, state.dtype) * _APART
            state.assign(keras.ops.add(state, [apart, 0]))

    strategy.run(scatter)


@contextlib.contextmanager
def translate_errors(spec: TrainingSpec, strategy: Any) -> Iterator[None]:
    """Translate errors of devices into errors for users.

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


@dataclass(frozen=True, slots=True)
class Execution:
    """How the steps are computed; recorded with the run, and equal on a repeat.

    Attributes:
        steps_per_epoch: a few more where an epoch has several windows, since the last
            batch of each is filled up.
        steps_per_execution: steps in one call of the compiled function.
        window_rows: rows that are in memory and shuffled together.
        strategy: of several devices; empty where there is one.
        devices: of this machine, such as ``2 x NVIDIA H100``.
        replicas: devices of all machines, each of which computes a part of a batch.
    """

    device: str
    strategy: str
    devices: str
    replicas: int
    threads: int
    precision: str
    xla: bool
    batch_size: int
    steps_per_epoch: int
    steps_per_execution: int
    window_rows: int

    @property
    def rows_device(self) -> str:
        """The device of windows: the only one, or the CPU where there are several."""
        return self.device if self.replicas == 1 else "cpu"

    def repeating(self, recorded: Mapping[str, Any]) -> Execution:
        """With the XLA and the precision that were recorded on such a device.

        Args:
            recorded: the facts of an earlier execution; may be empty.
        """
        if recorded.get("device") != self.device:
            return self
        before = replace(self, precision=str(recorded.get("precision", FLOAT32)))
        xla = bool(recorded.get("xla"))  # it rounds in another order
        return before if self.replicas > 1 else replace(before, xla=xla)


def _gains_by_xla(network: Any, batch_size: int) -> bool:
    """Whether a network has fully connected layers alone, and small steps.

    On a CPU, XLA makes a step of 128 rows take 0.6 of its time with two layers of 64 to
    256 units, 0.8 with 512 and 0.9 with 1,024; one of 512 rows with 512 units takes as
    long. Convolutions are slower with it.
    """
    is_small = network.count_params() * batch_size <= MOST_XLA_PRODUCTS
    return is_small and compiles(network)


def compiles(model: Any) -> bool:
    """Whether a model has only layers of Keras that XLA compiles; True without one."""
    layers = layers_of(model) if model is not None else []
    parts = [*map(type, layers), *(getattr(x, "activation", None) for x in layers)]
    is_of_keras = all(x is None or x.__module__.startswith("keras.") for x in parts)
    return is_of_keras and {type(layer).__name__ for layer in layers} <= _SUITED_TO_XLA


def plan_execution(
    spec: TrainingSpec,
    network: Any,
    rows: int,
    item_bytes: int,
    strategy: Any,
    window_bytes: int,
) -> Execution:
    """Plan the execution.

    XLA cannot compile steps that several devices share. It is used on one GPU, and on
    a CPU where a network gains by it and a training outlasts the compilation of half a
    second. There, it has slower products in bfloat16 than TensorFlow.

    Args:
        spec: the recipe.
        network: the fitted one.
        rows: of the train split.
        item_bytes: the size of one item.
        strategy: of the devices, a ``tf.distribute.Strategy``.
        window_bytes: in memory and shuffled together.

    Raises:
        SpecError: there are more devices than rows in a batch.
    """
    import keras

    replicas = strategy.num_replicas_in_sync
    device = keras.distribution.list_devices()[0].split(":")[0]
    batch_size = min(spec.batch_size, rows)
    if batch_size < replicas:
        raise SpecError(
            f"A batch has {batch_size} rows, but {replicas} devices are to share it.",
            "Raise training.batch_size, or lower training.devices.",
        )
    steps = -(-rows // batch_size)
    is_long = steps * spec.epochs >= LEAST_XLA_STEPS
    is_plain = spec.is_plain and spec.privacy is None and spec.precision != MIXED
    xla = device == "gpu" or (
        is_long and is_plain and _gains_by_xla(network, batch_size)
    )
    steps_in_memory = max(1, BYTES_PER_CALL // (batch_size * item_bytes))
    return Execution(
        device=device,
        strategy=type(strategy).__name__ if replicas > 1 else "",
        devices=names_of(strategy, device),
        replicas=replicas,
        threads=processors(),
        precision=keras.config.dtype_policy().name,
        xla=xla and replicas == 1,
        batch_size=batch_size,
        steps_per_epoch=steps,
        steps_per_execution=min(steps, steps_in_memory, STEPS_PER_CALL),
        window_rows=max(batch_size, window_bytes // item_bytes),
    )
