"""The training step on a GPU, through Keras on JAX and in plain JAX."""

import pytest

from headrace.stages.fitting.precision import FLOAT32, MIXED

# How far the losses may lie apart: products round in another order, and batch
# normalisation makes more of it.
DISTANCES = {
    ("mlp", FLOAT32): 0.01,
    ("mlp", MIXED): 0.05,
    ("cnn", FLOAT32): 0.02,
    ("cnn", MIXED): 0.2,
}


def test_a_step_through_keras_is_that_of_plain_jax(on_jax):
    answer = on_jax("steps")
    for (name, precision), most in DISTANCES.items():
        found = answer[name]
        keras, plain = (found[precision][way]["losses"] for way in ("keras", "plain"))
        assert keras == pytest.approx(plain, abs=most), (name, precision)
        assert keras[-1] < keras[0] / (10 if len(keras) > 100 else 2)
        assert found[MIXED]["keras"]["losses"] != found[FLOAT32]["keras"]["losses"]
