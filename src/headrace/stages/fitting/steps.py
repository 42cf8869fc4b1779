"""The parts of a fit, and its compiled training steps.

Keras's own step is a tenth slower, as it stores its metrics in variables. Where several
devices share a batch, each computes a part of it. The parts are weighted by their rows,
so that their sum is the gradient of the whole batch.

XLA compiles all steps of a call as one program, which keeps the weights in place: on a
CPU, a step takes 0.85 of the time of one that is a program of its own, with equal bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.models.logged.loading import answers
from headrace.pipeline import TrainingSpec
from headrace.stages.fitting.augmentation import Augmenter, Mixed, losses_of
from headrace.stages.fitting.data import Inputs
from headrace.stages.fitting.execution import Execution, compiles
from headrace.tasks import Task
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    from headrace.stages.fitting.privacy import Privacy
    from headrace.stages.fitting.recipe import Objective

# Of a batch, its targets and its share of the rows: the loss, and the sum of scores.
Step = Callable[[Any, Any, float], Any]


@dataclass(frozen=True, slots=True)
class Setup:
    """The parts of a fit.

    Attributes:
        model: pre-processing and network, for the validation split.
        network: the fitted one; where its beginning is frozen, the rest.
        inputs: of the network.
        spec: the recipe.
        execution: how steps are computed.
        strategy: of the devices; the networks were built in its scope.
        task: what is learned.
        folder: of the pipeline.
        privacy: the plan of a private fit.
        augmentation: of the items, if the recipe asks for one.
    """

    model: Any
    network: Any
    inputs: Inputs
    spec: TrainingSpec
    execution: Execution
    strategy: Any
    task: Task
    folder: Path
    privacy: Privacy | None = None
    augmentation: Augmenter | None = None

    @property
    def variables(self) -> list[Any]:
        """Those of the model, and of the network's parts that are not in it.

        Without what is frozen, which a checkpoint need not have.
        """
        cut = self.inputs.cut
        frozen = set(map(id, cut.prefix.variables if cut else ()))
        own = [v for v in self.model.variables if id(v) not in frozen]
        ids = set(map(id, own))
        return own + [v for v in self.network.variables if id(v) not in ids]

    @property
    def facts(self) -> dict[str, Any]:
        """What must be equal for a fit to resume."""
        privacy = self.privacy.facts if self.privacy else {}
        return {**asdict(self.execution), **privacy}

    def validation(self) -> Outputs:
        """The model's answers to the validation split, ``(rows, ...)``."""
        inputs = self.inputs
        is_prepared = inputs.preprocessing is None and not inputs.asks_model
        return answers(self.network if is_prepared else self.model, inputs.val.items)


def compile_steps(setup: Setup, optimizer: Any, objective: Objective) -> Any:
    """Compile the training steps, and trace them, so that all variables exist.

    Args:
        setup: of the fit.
        optimizer: built for the network, in the strategy's scope.
        objective: the loss and the score.

    Returns:
        a function of items ``(n, *shape)``, targets ``(n, ...)``, the rows of each
        step, int32 ``(steps, batch_size)``, and of an augmentation the keys of the
        items, int64 ``(n,)``. It returns the loss of each step and the sum of its rows'
        scores, both float32 ``(steps,)``.
    """
    import tensorflow as tf

    network, inputs = setup.network, setup.inputs

    def step(batch: Any, truth: Any, share: float) -> Any:
        with tf.GradientTape() as tape:
            outputs = network(batch, training=True)
            loss = tf.reduce_mean(losses_of(objective, network, truth, outputs))
            loss = tf.add_n([loss, *network.losses]) * share
        weights = network.trainable_weights
        optimizer.apply(tape.gradient(loss, weights), weights)  # sums over devices
        own = truth.own if isinstance(truth, Mixed) else truth
        return tf.stack([loss, tf.reduce_sum(objective.scores(own, outputs))])

    signature = [
        tf.TensorSpec((None, *inputs.shape), inputs.dtype),
        tf.TensorSpec((None, *inputs.target_shape), inputs.target_dtype),
        tf.TensorSpec((None, setup.execution.batch_size), tf.int32),
        *([tf.TensorSpec((None,), tf.int64)] if setup.augmentation else ()),
    ]
    whole = setup.execution.xla and compiles(inputs.preprocessing)
    run = (_as_one_program if whole else _one_by_one)(setup, step)
    # Autograph would search all imported modules for the function's source.
    compiled = tf.function(run, input_signature=signature, autograph=False)
    items, targets, rows, *keys = (
        tf.zeros([size or 1 for size in spec.shape], spec.dtype) for spec in signature
    )
    compiled(items, targets, rows[:0], *keys)
    return compiled


def _one_by_one(setup: Setup, step: Step) -> Any:
    """Steps that TensorFlow runs one after the other, each on all devices."""
    import tensorflow as tf

    strategy, inputs, execution = setup.strategy, setup.inputs, setup.execution
    batch_size, replicas = execution.batch_size, execution.replicas
    bounds = [batch_size * number // replicas for number in range(replicas + 1)]
    augmentation = setup.augmentation
    # XLA compiles each length anew, and an augmentation needs to know it.
    is_cut = inputs.varies and not execution.xla and not augmentation
    if replicas == 1:  # a nested function cannot span devices
        step = tf.function(step, jit_compile=execution.xla, autograph=False)

    def longest(batch: Any) -> Any:
        used = tf.reduce_any(tf.not_equal(batch, 0), (0, *range(2, len(batch.shape))))
        return tf.maximum(tf.reduce_max(tf.where(used)) + 1, 1)

    def part(items: Any, targets: Any, rows: Any, *keys: Any) -> Any:
        place = tf.distribute.get_replica_context().replica_id_in_sync_group
        number = int(tf.get_static_value(place))
        first, end = bounds[number], bounds[number + 1]
        with tf.device(execution.rows_device):
            mine = (
                augmentation.rows(rows, first, end) if augmentation else rows[first:end]
            )
            of_rows = (tf.gather(every, mine) for every in (items, targets, *keys))
            batch, truth, *own = of_rows
            if is_cut:
                batch = batch[:, : longest(batch)]
        batch, truth = _prepared(setup, batch, truth, *own)
        return step(batch, truth, (end - first) / batch_size)

    def run(items: Any, targets: Any, rows: Any, *keys: Any) -> Any:
        steps = tf.shape(rows)[0]

        def advance(number: Any, results: Any) -> tuple[Any, Any]:
            parts = strategy.run(part, args=(items, targets, rows[number], *keys))
            both = strategy.reduce("SUM", parts, axis=None)
            return number + 1, results.write(number, both)

        begin = (tf.constant(0), tf.TensorArray(tf.float32, steps))
        _, results = tf.while_loop(lambda number, _: number < steps, advance, begin)
        return tf.unstack(tf.reshape(results.stack(), (-1, 2)), axis=1)

    return run


def _as_one_program(setup: Setup, step: Step) -> Any:
    """Steps that XLA compiles together with the pre-processing, for one device."""
    import tensorflow as tf

    execution, augmentation = setup.execution, setup.augmentation
    most, batch_size = execution.steps_per_execution, execution.batch_size

    def program(steps: Any, *of_steps: Any) -> Any:
        def advance(number: Any, results: Any) -> tuple[Any, Any]:
            batch, truth = _prepared(setup, *(every[number] for every in of_steps))
            both = step(batch, truth, 1.0)
            return number + 1, tf.tensor_scatter_nd_update(results, [[number]], [both])

        begin = (tf.constant(0), tf.zeros((most, 2)))
        return tf.while_loop(lambda number, _: number < steps, advance, begin)[1]

    compiled = tf.function(program, jit_compile=True, autograph=False)

    def gathered(values: Any, rows: Any) -> Any:
        """The values of each step, for ``most`` steps: each shape is compiled anew."""
        chosen, shape = tf.gather(values, rows), values.shape[1:]
        missing = [[0, most - tf.shape(rows)[0]], [0, 0], *([0, 0] for _ in shape)]
        return tf.ensure_shape(tf.pad(chosen, missing), (most, rows.shape[1], *shape))

    def run(items: Any, targets: Any, rows: Any, *keys: Any) -> Any:
        steps = tf.shape(rows)[0]
        rows = augmentation.rows(rows, 0, batch_size) if augmentation else rows
        with tf.device(execution.rows_device):
            of_steps = [gathered(every, rows) for every in (items, targets, *keys)]
        return tf.unstack(compiled(steps, *of_steps)[:steps], axis=1)

    return run


def _prepared(setup: Setup, rows: Any, targets: Any, *keys: Any) -> tuple[Any, Any]:
    """What the network takes of a batch, and its targets; with keys, augmented."""
    import tensorflow as tf

    preprocessing, augmentation = setup.inputs.preprocessing, setup.augmentation
    items = rows if preprocessing is None else tf.cast(rows, tf.float32)
    if augmentation is not None:
        items = augmentation.vary(items, *keys)
    if preprocessing is not None:
        items = preprocessing(items)
    if augmentation is None:
        return items, targets
    return augmentation.mix(items, targets, *keys)
