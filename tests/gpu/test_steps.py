"""The training step on a GPU, through Keras on JAX and in plain JAX."""

import pytest

from headrace.stages.fitting.precision import FLOAT32, MIXED

# How far the losses may lie apart: products round in another order.
DISTANCES = {FLOAT32: 0.01, MIXED: 0.05}


def test_a_step_through_keras_is_that_of_plain_jax(on_gpu):
    answer = on_gpu("steps")
    for precision, most in DISTANCES.items():
        keras, plain = (answer[precision][way]["losses"] for way in ("keras", "plain"))
        assert keras == pytest.approx(plain, abs=most)
        assert keras[-1] < keras[0] / 10
    assert answer[MIXED]["keras"]["losses"] != answer[FLOAT32]["keras"]["losses"]
