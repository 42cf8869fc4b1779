"""How steps are computed follows from the spec, the rows and the device."""

import math
from dataclasses import asdict, replace

from headrace.pipeline import TrainingSpec
from headrace.stages.fitting.execution import (
    LEAST_XLA_STEPS,
    MOST_XLA_PRODUCTS,
    WINDOW_BYTES,
    plan_execution,
)


def plan(batch, rows, shape=(28, 28, 1), layers=(), **spec):
    import keras
    import tensorflow as tf

    network = keras.Sequential(
        [keras.Input(shape), *(layers or [keras.layers.Flatten()])]
    )
    strategy = tf.distribute.get_strategy()
    recipe = TrainingSpec(batch_size=batch, **spec)
    sizes = math.prod(shape), strategy, WINDOW_BYTES
    return plan_execution(recipe, network, rows, *sizes)


def test_the_execution_follows_from_spec_and_rows():
    small = plan(16, 50)
    assert (small.batch_size, small.steps_per_epoch, small.steps_per_execution) == (
        16,
        4,
        4,
    )
    assert plan(128, 50).batch_size == 50
    assert plan(1, 5_000).steps_per_execution == 64
    assert small == plan(16, 50)


def test_large_items_come_in_fewer_steps_and_rows_at_a_time():
    large = plan(64, 10_000, (512, 512, 3))
    assert large.steps_per_execution == 1
    assert large.window_rows * 512 * 512 * 3 <= 2**26
    assert plan(4096, 10_000, (512, 512, 3)).window_rows == 4096


def _dense(*more):
    from keras import layers

    return [layers.Flatten(), layers.Dense(512), layers.Dense(512), *more]


def test_a_cpu_compiles_long_trainings_of_dense_networks_with_xla():
    from keras import layers

    long = 100 * LEAST_XLA_STEPS
    dense = {"epochs": 1, "layers": _dense(layers.Dropout(0.5), layers.Rescaling(2.0))}
    assert plan(100, long, **dense).xla
    assert not plan(100, long - 100, **dense).xla
    assert plan(100, long // 2, **dense | {"epochs": 2}).xla
    assert not plan(100, long, **dense | {"loss": "losses:own"}).xla
    assert not plan(100, long, **dense | {"precision": "mixed_bfloat16"}).xla
    assert not plan(100, long, **dense | {"privacy": {"epsilon": 3}}).xla
    assert plan(100, long, epochs=1, layers=[layers.Flatten(), layers.Dense(8)]).xla
    for other in (
        _dense(layers.Dense(10, activation=lambda x: x)),
        [layers.Conv2D(8, 3), *_dense()],
    ):
        assert not plan(100, long, epochs=1, layers=other).xla


def test_xla_compiles_no_large_steps():
    weights = 784 * 512 + 512 + 512 * 512 + 512
    most = MOST_XLA_PRODUCTS // weights
    for rows, gains in ((most, True), (most + 1, False)):
        long = rows * LEAST_XLA_STEPS
        assert plan(rows, long, epochs=1, layers=_dense()).xla is gains


def test_a_training_is_made_again_as_it_was_compiled():
    planned = plan(100, 100 * LEAST_XLA_STEPS, epochs=1, layers=_dense())
    then = asdict(planned)
    assert planned.repeating({}) == planned
    assert planned.repeating(then) == planned
    assert planned.repeating(then | {"xla": False}) == replace(planned, xla=False)
    assert plan(100, 50).repeating(then).xla
    assert planned.repeating({"device": "gpu", "xla": False}).xla
    mixed = replace(planned, precision="mixed_bfloat16")
    assert mixed.repeating({}) == mixed
    assert mixed.repeating(then) == planned
    assert planned.repeating(asdict(mixed)) == mixed
