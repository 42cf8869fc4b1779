"""The training steps of `mlp` and `cnn` through Keras on JAX, and in plain JAX.

``KERAS_BACKEND=jax python -m tests.gpu.steps`` prints a JSON line: where JAX computes,
and for each network, each precision and both ways the loss of each step and the median
time of one. The networks, the loss and the recipe are those that ship, without the
random numbers of dropout and augmentation; training itself is on TensorFlow.
"""

from __future__ import annotations

import json
import sys
import time
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from headrace import models
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription
from headrace.stages.fitting.precision import FLOAT32, MIXED, products_in
from headrace.stages.fitting.recipe import make_optimizer
from headrace.tasks import task

DIGITS = DataDescription(medium="image", shape=(28, 28, 1), classes=tuple("0123456789"))
RECIPE = TrainingSpec()
NETWORKS = {"mlp": {}, "cnn": {"dropout": 0.0, "shift": 0.0, "zoom": 0.0}}
STEPS, FEW = 200, 10  # a step of `cnn` takes a CPU long, above all in bfloat16
REPEATS = {"cpu": 1, "gpu": 7}
EPSILON = 0.001  # of Keras's batch normalisation

# Of a state, the items and the targets of all steps: the next state, and the losses.


def batches():
    """Noisy images of ten patterns, ``(steps, rows, 28, 28, 1)``, and their classes."""
    random = np.random.default_rng(0)
    patterns = random.uniform(0, 1, (10, 28, 28, 1))
    labels = random.integers(0, 10, (STEPS, RECIPE.batch_size))
    noise = random.uniform(0, 1, (*labels.shape, 28, 28, 1))
    items = 0.2 * patterns[labels] + 0.8 * noise
    return jnp.asarray(items, jnp.float32), jnp.asarray(labels, jnp.int32)


def through_keras(network, precision):
    """The state before the first step, and all steps as one program."""
    head = task(DIGITS.task).head
    optimizer = make_optimizer(RECIPE, STEPS)
    optimizer.build(network.trainable_variables)

    def loss_of(weights, others, batch, truth):
        outputs, others = network.stateless_call(weights, others, batch, training=True)
        return head.losses(network, truth, outputs, RECIPE).mean(), others

    def step(state, given):
        weights, others, slots = state
        of = jax.value_and_grad(loss_of, has_aux=True)
        (loss, others), gradients = of(weights, others, *given)
        weights, slots = optimizer.stateless_apply(slots, gradients, weights)
        return (weights, others, slots), loss

    @jax.jit
    def steps(state: Any, items: Any, targets: Any) -> Any:
        with products_in(precision, network):
            return jax.lax.scan(step, state, (items, targets))

    variables = network.trainable_variables, network.non_trainable_variables
    parts = (*variables, optimizer.variables)
    return tuple([v.value for v in part] for part in parts), steps


def block(images, kernel, scale, offset, dtype):
    """A convolution, a 2 x 2 maximum, batch normalisation and ReLU."""
    pixels, kernel = images.astype(dtype), kernel.astype(dtype)
    order = ("NHWC", "HWIO", "NHWC")
    x = jax.lax.conv_general_dilated(
        pixels, kernel, (1, 1), "SAME", dimension_numbers=order
    )
    window = (1, 2, 2, 1)
    least = np.asarray(-np.inf, x.dtype)  # concrete, else it has no gradient
    x = jax.lax.reduce_window(x, least, jax.lax.max, window, window, "VALID")
    x = x.astype(jnp.float32)
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    x = (x - mean) * jax.lax.rsqrt(variance + EPSILON) * scale + offset
    return jax.nn.relu(x)


def outputs(weights, batch, dtype):
    """The logits: blocks of convolutions, if there are any, then dense layers."""
    hidden, rest = batch, list(weights)
    while rest[0].ndim == 4:
        hidden, rest = block(hidden, *rest[:3], dtype), rest[3:]
    hidden = hidden.reshape(len(hidden), -1)
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    for kernel, bias in pairs[:-1]:
        product = hidden.astype(dtype) @ kernel.astype(dtype)
        hidden = jax.nn.relu(product + bias.astype(dtype))
    kernel, bias = pairs[-1]
    return hidden.astype(jnp.float32) @ kernel + bias


def plain(network, precision):
    """The same by hand."""
    dtype = jnp.bfloat16 if precision == MIXED else jnp.float32
    weights = [v.value for v in network.trainable_variables]

    def loss_of(weights, batch, truth):
        logits = outputs(weights, batch, dtype)
        chosen = jax.nn.log_softmax(logits)[jnp.arange(len(truth)), truth]
        return -chosen.mean()

    def step(state, given):
        weights, momentums, number = state
        loss, gradients = jax.value_and_grad(loss_of)(weights, *given)
        rate = RECIPE.learning_rate / (1 + RECIPE.decay * number)
        pairs = zip(momentums, gradients, strict=True)
        momentums = [RECIPE.momentum * m - rate * g for m, g in pairs]
        parts = zip(weights, momentums, gradients, strict=True)
        weights = [w + RECIPE.momentum * m - rate * g for w, m, g in parts]
        return (weights, momentums, number + 1), loss

    @jax.jit
    def steps(state: Any, items: Any, targets: Any) -> Any:
        return jax.lax.scan(step, state, (items, targets))

    return (weights, [jnp.zeros_like(w) for w in weights], jnp.float32(0)), steps


def measured(state, steps, given):
    """The losses of all steps, and the median time of one in microseconds."""
    losses = np.asarray(steps(state, *given)[1])  # compiles
    times = []
    for _ in range(REPEATS[jax.devices()[0].platform]):
        begin = time.perf_counter()
        jax.block_until_ready(steps(state, *given))
        times.append(time.perf_counter() - begin)
    return {"losses": losses.tolist(), "us": 1e6 * median(times) / len(losses)}


def main():
    """Measure both networks both ways in both precisions."""
    found = {"platform": jax.devices()[0].platform}
    every = batches()
    ways = {"keras": through_keras, "plain": plain}
    for name, options in NETWORKS.items():
        keras.utils.set_random_seed(RECIPE.seed)
        _, network = models.build(name, DIGITS, options)
        given = every
        if name == "cnn" and found["platform"] == "cpu":
            given = tuple(part[:FEW] for part in every)
        found[name] = {
            precision: {
                way: measured(*make(network, precision), given)
                for way, make in ways.items()
            }
            for precision in (FLOAT32, MIXED)
        }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
