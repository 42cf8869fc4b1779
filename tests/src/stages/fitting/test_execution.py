"""How steps are computed follows from the spec, the rows and the device."""

from __future__ import annotations

import math

import pytest

from headrace.backend import load_backend
from headrace.spec import TrainingSpec
from headrace.stages.fitting.execution import WINDOW_BYTES, Execution, plan_execution


@pytest.fixture(scope="module", autouse=True)
def _backend() -> None:
    load_backend()


def plan(batch: int, rows: int, shape: tuple[int, ...] = (28, 28, 1)) -> Execution:
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    sizes = math.prod(shape), strategy, WINDOW_BYTES
    return plan_execution(TrainingSpec(batch_size=batch), rows, *sizes)


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


def test_a_cpu_computes_without_xla() -> None:
    assert (plan(16, 50).device, plan(16, 50).xla) == ("cpu", False)
