"""How steps are computed follows from the spec, the rows and the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from headrace.backend import load_backend
from headrace.spec import TrainingSpec
from headrace.stages.fitting.execution import (
    LEAST_XLA_STEPS,
    WINDOW_BYTES,
    Execution,
    plan_execution,
)


@pytest.fixture(scope="module", autouse=True)
def _backend() -> None:
    load_backend()


def plan(
    batch: int,
    rows: int,
    shape: tuple[int, ...] = (28, 28, 1),
    layers: Sequence[Any] = (),
    **spec: Any,
) -> Execution:
    import keras
    import tensorflow as tf

    network = keras.Sequential(
        [keras.Input(shape), *(layers or [keras.layers.Flatten()])]
    )
    strategy = tf.distribute.get_strategy()
    sizes = math.prod(shape), strategy, WINDOW_BYTES
    return plan_execution(TrainingSpec(batch_size=batch, **spec), network, rows, *sizes)


def test_the_execution_follows_from_spec_and_rows() -> None:
    small = plan(16, 50)
    assert (small.batch_size, small.steps_per_epoch, small.steps_per_execution) == (
        16,
        4,
        4,
    )
    assert plan(128, 50).batch_size == 50
    assert plan(1, 5_000).steps_per_execution == 64
    assert small == plan(16, 50)


def test_large_items_come_in_fewer_steps_and_rows_at_a_time() -> None:
    large = plan(64, 10_000, (512, 512, 3))
    assert large.steps_per_execution == 1
    assert large.window_rows * 512 * 512 * 3 <= 2**26
    assert plan(4096, 10_000, (512, 512, 3)).window_rows == 4096


def test_a_cpu_compiles_long_trainings_of_large_dense_networks_with_xla() -> None:
    from keras import layers

    long = 100 * LEAST_XLA_STEPS
    large = {"epochs": 1, "layers": [layers.Flatten(), layers.Dense(1_000)]}
    assert plan(100, long, **large).xla
    assert not plan(100, long - 100, **large).xla
    assert plan(100, long // 2, **large | {"epochs": 2}).xla
    assert not plan(100, long, **large | {"loss": "losses:own"}).xla
    assert not plan(100, long, **large | {"privacy": {"epsilon": 3}}).xla
    for other in (
        [layers.Flatten(), layers.Dense(100)],
        [layers.Flatten(), layers.Dense(1_000), layers.Dropout(0.5)],
        [layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(1_000)],
    ):
        assert not plan(100, long, epochs=1, layers=other).xla
