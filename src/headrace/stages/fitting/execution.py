"""The execution of the steps, from the spec, the data's form and the devices alone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from headrace.errors import SpecError
from headrace.spec import TrainingSpec
from headrace.stages.fitting.devices import names_of

WINDOW_BYTES = 2**26
STEPS_PER_CALL = 64
BYTES_PER_CALL = 2**23


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


def plan_execution(
    spec: TrainingSpec,
    rows: int,
    item_bytes: int,
    strategy: Any,
    window_bytes: int = WINDOW_BYTES,
) -> Execution:
    """Plan the execution.

    XLA is used on one GPU. On CPUs it made a dense step no faster than the fused
    optimizer, and a convolution 2.5 times slower. It cannot compile steps that several
    devices share.

    Args:
        spec: the recipe.
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
    steps_in_memory = max(1, BYTES_PER_CALL // (batch_size * item_bytes))
    threads = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        threads = len(os.sched_getaffinity(0))
    return Execution(
        device=device,
        strategy=type(strategy).__name__ if replicas > 1 else "",
        devices=names_of(strategy, device),
        replicas=replicas,
        threads=threads,
        precision=keras.config.dtype_policy().name,
        xla=device == "gpu" and replicas == 1,
        batch_size=batch_size,
        steps_per_epoch=steps,
        steps_per_execution=min(steps, steps_in_memory, STEPS_PER_CALL),
        window_rows=max(batch_size, window_bytes // item_bytes),
    )
