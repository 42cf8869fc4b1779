"""How the steps are computed: from the spec, the data's form and the device alone."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from headrace.spec import TrainingSpec

WINDOW_BYTES = 2**26
STEPS_PER_CALL = 64
BYTES_PER_CALL = 2**23


@dataclass(frozen=True, slots=True)
class Execution:
    """Recorded with the run, equal on a repeat.

    Attributes:
        steps_per_epoch: a few more where an epoch has several windows, since the last
            batch of each is filled up.
        steps_per_execution: steps in one call of the compiled function.
        window_rows: rows that are in memory and shuffled together.
    """

    device: str
    threads: int
    precision: str
    xla: bool
    batch_size: int
    steps_per_epoch: int
    steps_per_execution: int
    window_rows: int


def plan_execution(spec: TrainingSpec, rows: int, shape: tuple[int, ...]) -> Execution:
    """Follow from the spec, the number of rows and the device alone.

    XLA is for GPUs: on CPUs it made a dense step no faster than the fused optimizer
    does, and a convolution 2.5 times slower.

    Args:
        spec: the recipe.
        rows: of the train split.
        shape: of one item, of bytes.
    """
    import keras

    device = keras.distribution.list_devices()[0].split(":")[0]
    batch_size = min(spec.batch_size, rows)
    steps = -(-rows // batch_size)
    item_bytes = int(np.prod(shape))
    fitting = max(1, BYTES_PER_CALL // (batch_size * item_bytes))
    return Execution(
        device=device,
        threads=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        precision=keras.config.dtype_policy().name,
        xla=device == "gpu",
        batch_size=batch_size,
        steps_per_epoch=steps,
        steps_per_execution=min(steps, fitting, STEPS_PER_CALL),
        window_rows=max(batch_size, WINDOW_BYTES // item_bytes),
    )
