"""The training step on a GPU, through Keras on JAX and in plain JAX."""

import pytest

from headrace.stages.fitting.precision import FLOAT32, MIXED

ALIKE = 20  # steps; then batch normalisation makes much of how products were rounded
# How far the losses of these steps may lie apart.
DISTANCES = {
    ("mlp", FLOAT32): 0.01,
    ("mlp", MIXED): 0.05,
    ("cnn", FLOAT32): 0.05,
    ("cnn", MIXED): 0.2,
}


def test_a_step_through_keras_is_that_of_plain_jax(on_jax):
    answer = on_jax("steps")
    for (name, precision), most in DISTANCES.items():
        found = answer[name]
        keras, plain = (found[precision][way]["losses"] for way in ("keras", "plain"))
        alike = len(keras) if name == "mlp" else ALIKE
        assert keras[:alike] == pytest.approx(plain[:alike], abs=most), name
        for losses in (keras, plain):
            assert losses[-1] < losses[0] / (10 if len(losses) > 100 else 1)
        assert found[MIXED]["keras"]["losses"] != found[FLOAT32]["keras"]["losses"]
