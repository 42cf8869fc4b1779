"""Compiled training steps.

Keras's own step is a tenth slower, as it stores its metrics in variables. Where several
devices share a batch, each computes a part of it. The parts are weighted by their rows,
so that their sum is the gradient of the whole batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.stages.fitting.loop import Setup
    from headrace.stages.fitting.recipe import Objective


def compile_steps(setup: Setup, optimizer: Any, objective: Objective) -> Any:
    """Compile the training steps, and trace them, so that all variables exist.

    Args:
        setup: of the fit.
        optimizer: built for the network, in the strategy's scope.
        objective: the loss and the score.

    Returns:
        a function of items ``(n, *shape)``, targets ``(n, ...)`` and the rows of each
        step, int32 ``(steps, batch_size)``. It returns the loss of each step and the
        sum of its rows' scores, both float32 ``(steps,)``.
    """
    import tensorflow as tf

    network, strategy, inputs = setup.network, setup.strategy, setup.inputs
    execution, preprocessing = setup.execution, inputs.preprocessing
    batch_size, replicas = execution.batch_size, execution.replicas
    bounds = [batch_size * number // replicas for number in range(replicas + 1)]

    def step(batch: Any, truth: Any, share: float) -> Any:
        with tf.GradientTape() as tape:
            outputs = network(batch, training=True)
            loss = tf.reduce_mean(objective.losses(network, truth, outputs))
            loss = tf.add_n([loss, *network.losses]) * share
        weights = network.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)  # sums over devices
        return tf.stack([loss, tf.reduce_sum(objective.scores(truth, outputs))])

    if replicas == 1:  # a nested function cannot span devices
        step = tf.function(step, jit_compile=execution.xla, autograph=False)

    def longest(batch: Any) -> Any:
        used = tf.reduce_any(tf.not_equal(batch, 0), (0, *range(2, len(batch.shape))))
        return tf.maximum(tf.reduce_max(tf.where(used)) + 1, 1)

    def part(items: Any, targets: Any, rows: Any) -> Any:
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = int(tf.get_static_value(place))
        first, end = bounds[number], bounds[number + 1]
        with tf.device(execution.rows_device):
            mine = rows[first:end]
            batch, truth = tf.gather(items, mine), tf.gather(targets, mine)
            if inputs.varies and not execution.xla:  # it compiles each length anew
                batch = batch[:, : longest(batch)]
        if preprocessing is not None:
            batch = preprocessing(tf.cast(batch, tf.float32))
        return step(batch, truth, (end - first) / batch_size)

    def run(items: Any, targets: Any, rows: Any) -> Any:
        steps = tf.shape(rows)[0]

        def advance(number: Any, results: Any) -> tuple[Any, Any]:
            parts = strategy.run(part, args=(items, targets, rows[number]))
            both = strategy.reduce("SUM", parts, axis=None)
            return number + 1, results.write(number, both)

        begin = (tf.constant(0), tf.TensorArray(tf.float32, steps))
        _, results = tf.while_loop(lambda number, _: number < steps, advance, begin)
        return tf.unstack(tf.reshape(results.stack(), (-1, 2)), axis=1)

    signature = [
        tf.TensorSpec((None, *inputs.shape), inputs.dtype),
        tf.TensorSpec((None, *inputs.target_shape), inputs.target_dtype),
        tf.TensorSpec((None, batch_size), tf.int32),
    ]
    # Autograph would search all imported modules for the function's source.
    compiled = tf.function(run, input_signature=signature, autograph=False)
    compiled(*(tf.zeros([n or 0 for n in s.shape], s.dtype) for s in signature))
    return compiled
