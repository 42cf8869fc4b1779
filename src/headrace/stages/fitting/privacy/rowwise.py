"""The clipped sum of the gradients of a batch, from the gradient of each row.

It suits any network, and takes several times as long as `ghost`. Each row is a batch of
its own, so that no layer can mix rows. TensorFlow computes them together
(`tf.vectorized_map`), which took half as long as one after the other.
"""

from __future__ import annotations

from typing import Any

from headrace.stages.fitting.privacy.ghost import Losses, clip_factors

MEMORY_BYTES = 2**28  # of the gradients that are in memory together
_APART = 1_000_003  # between the seeds of two rows
_SEED = "seed_generator_state"


def chunk_size(network: Any, size: int) -> int:
    """How many rows have their gradients in memory together.

    Args:
        network: the fitted one.
        size: rows of a batch.
    """
    weights = sum(4 * int(v.shape.num_elements()) for v in _values(network))
    most = max(1, MEMORY_BYTES // max(1, weights))
    chunks = -(-size // min(size, most))
    return -(-size // chunks)


def clipped_sum(
    network: Any, losses: Losses, clip: float, batch: Any, truth: Any, mask: Any
) -> tuple[list[Any], Any, Any]:
    """The sum of the clipped gradients of some rows; see `ghost.clipped_sum`.

    Random layers get another seed for each row. Other variables that are not trainable
    stay as they are.
    """
    import tensorflow as tf

    size = int(batch.shape[0])
    chunk = chunk_size(network, size)
    parts = []
    for start in range(0, size, chunk):
        rows = slice(start, min(start + chunk, size))
        given = batch[rows], truth[rows], mask[rows]
        parts.append(_chunk(network, losses, clip, *given))
    sums, of_rows, outputs = zip(*parts, strict=True)
    summed = [tf.add_n(list(each)) for each in zip(*sums, strict=True)]
    return summed, tf.concat(of_rows, 0), tf.concat(outputs, 0)


def _chunk(
    network: Any, losses: Losses, clip: float, batch: Any, truth: Any, mask: Any
) -> tuple[list[Any], Any, Any]:
    import tensorflow as tf

    values, states = _values(network), network.non_trainable_variables
    seeds = [number for number, v in enumerate(states) if v.path.endswith(_SEED)]

    def of_row(row: tuple[Any, Any, Any]) -> Any:
        item, target, number = row
        given = [tf.convert_to_tensor(state) for state in states]
        for seed in seeds:
            apart = tf.cast(number, given[seed].dtype) * _APART
            given[seed] += tf.stack([apart, tf.zeros_like(apart)])
        with tf.GradientTape() as tape:
            tape.watch(values)
            outputs, after = network.stateless_call(
                values, given, item[tf.newaxis], training=True
            )
            loss = losses(network, target[tf.newaxis], outputs)[0]
        gradients = tape.gradient(loss, values, unconnected_gradients="zero")
        square = tf.add_n([tf.reduce_sum(tf.square(value)) for value in gradients])
        return gradients, square, loss, outputs[0], [after[seed] for seed in seeds]

    rows = batch, truth, tf.range(batch.shape[0])
    gradients, squares, of_rows, outputs, after = tf.vectorized_map(of_row, rows)
    for seed, value in zip(seeds, after, strict=True):
        states[seed].assign(value[0])  # of the first row, whose seed was its own
    factors = clip_factors(squares, clip, mask)

    def summed(value: Any) -> Any:
        """Contract the rows; an infinite one times 0 would be no number."""
        shape = (-1, *[1] * (len(value.shape) - 1))
        value = tf.where(tf.reshape(factors > 0, shape), value, 0.0)
        return tf.tensordot(factors, value, 1)

    return [summed(value) for value in gradients], of_rows, outputs


def _values(network: Any) -> list[Any]:
    import tensorflow as tf

    return [tf.convert_to_tensor(v) for v in network.trainable_variables]
