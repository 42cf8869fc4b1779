"""The training steps, compiled: one code for one device and for several.

Keras's own step does the same, and a tenth slower: it keeps its metrics in variables.
Where several devices share a batch, each computes a part of it, and counts as much as
it has rows: the sum is the gradient of the whole.
"""

from __future__ import annotations

from typing import Any

from headrace.stages.fitting.execution import Execution
from headrace.stages.fitting.features import Inputs


def compile_steps(
    network: Any,
    inputs: Inputs,
    optimizer: Any,
    execution: Execution,
    strategy: Any,
    label_smoothing: float = 0.0,
) -> Any:
    """The compiled training steps, traced already, so that all variables are there.

    Args:
        network: what is fitted.
        inputs: what it is fitted to.
        optimizer: built for the network, in the strategy's scope.
        execution: how steps are computed.
        strategy: of the devices.
        label_smoothing: share of the truth that all classes have alike.

    Returns:
        a function of items ``(n, *shape)``, labels int32 ``(n,)`` and the rows
        of each step, int32 ``(steps, batch_size)``; it gives the loss of each step,
        float32 ``(steps,)``, and how many rows were told rightly in all.
    """
    import keras
    import tensorflow as tf

    preprocessing = inputs.preprocessing
    batch_size, replicas = execution.batch_size, execution.replicas
    bounds = [batch_size * number // replicas for number in range(replicas + 1)]

    def loss_of(truth: Any, given: Any) -> Any:
        if not label_smoothing:
            return keras.losses.sparse_categorical_crossentropy(truth, given)
        hot = tf.one_hot(truth, given.shape[-1])
        return keras.losses.categorical_crossentropy(
            hot, given, label_smoothing=label_smoothing
        )

    def step(batch: Any, truth: Any, share: float) -> Any:
        with tf.GradientTape() as tape:
            given = network(batch, training=True)
            loss = tf.reduce_mean(loss_of(truth, given))
            loss = tf.add_n([loss, *network.losses]) * share
        weights = network.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)  # sums over devices
        told = tf.argmax(given, 1, tf.int32)
        return tf.stack([loss, tf.reduce_sum(tf.cast(told == truth, tf.float32))])

    if replicas == 1:  # what devices do together, no function inside can hold
        step = tf.function(step, jit_compile=execution.xla, autograph=False)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def part(items: Any, labels: Any, rows: Any) -> Any:
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = int(tf.get_static_value(place))
        first, end = bounds[number], bounds[number + 1]
        with tf.device(execution.rows_device):
            mine = rows[first:end]
            batch, truth = tf.gather(items, mine), tf.gather(labels, mine)
        if preprocessing is not None:
            batch = preprocessing(tf.cast(batch, tf.float32))
        return step(batch, truth, (end - first) / batch_size)

    def run(items: Any, labels: Any, rows: Any) -> tuple[Any, Any]:
        seen = tf.TensorArray(tf.float32, tf.shape(rows)[0])
        for number in tf.range(tf.shape(rows)[0]):
            parts = strategy.run(part, args=(items, labels, rows[number]))
            seen = seen.write(number, strategy.reduce("SUM", parts, axis=None))
        losses, right = tf.unstack(tf.reshape(seen.stack(), (-1, 2)), axis=1)
        return losses, tf.reduce_sum(tf.cast(right, tf.int32))

    signature = [
        tf.TensorSpec((None, *inputs.shape), inputs.dtype),
        tf.TensorSpec((None,), tf.int32),
        tf.TensorSpec((None, batch_size), tf.int32),
    ]
    compiled = tf.function(run, input_signature=signature)
    compiled(*(tf.zeros([n or 0 for n in s.shape], s.dtype) for s in signature))
    return compiled
