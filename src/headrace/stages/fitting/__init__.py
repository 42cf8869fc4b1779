"""Fits a network: the order of the rows, the steps, checkpoints, the weights' digest.

The resulting weights depend on the spec, the data and the device alone. A fit that was
interrupted resumes from its last checkpoint and ends with the same weights. MLflow is
not used here.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from headrace import models
from headrace.imports.backend import load_backend
from headrace.pipeline import PipelineSpec
from headrace.pipeline.training import CHECKPOINT_FIELDS
from headrace.records import Metrics, PrivacyRecord
from headrace.stages.fitting.augmentation import Augmenter
from headrace.stages.fitting.checkpoints import Checkpoints
from headrace.stages.fitting.data import TrainingData, inputs_of, some_targets
from headrace.stages.fitting.execution import (
    Execution,
    choose_devices,
    plan_execution,
    translate_errors,
)
from headrace.stages.fitting.features import weights_digest
from headrace.stages.fitting.loop import Loop, OnEpoch
from headrace.stages.fitting.precision import (
    choose_precision,
    products_in,
    whole_batches,
)
from headrace.stages.fitting.privacy import plan_privacy
from headrace.stages.fitting.privacy.loop import PrivateLoop
from headrace.stages.fitting.privacy.refusals import (
    check_data,
    check_network,
    check_size,
)
from headrace.stages.fitting.steps import Setup
from headrace.state import backbones
from headrace.tasks import task
from headrace.tasks.forms import Shards
from headrace.tasks.learn import Fitting


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build layers whose seeds depend on ``seed`` alone.

    Keras draws the seed of each layer with ``random.randint``, from the generator of
    the process. A thread that waits a random time before a retry draws from it as well,
    and would change the seeds of all later layers.

    Args:
        seed: of Keras, NumPy, TensorFlow and ``random``.
    """
    import keras

    keras.utils.set_random_seed(seed)
    ours, thread, before = random.Random(seed), threading.get_ident(), random.randint  # noqa: S311

    def randint(a: int, b: int) -> int:
        here = threading.get_ident() == thread
        return ours.randint(a, b) if here else before(a, b)

    random.randint = randint
    try:
        yield
    finally:
        random.randint = before


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted model.

    Attributes:
        model: from raw items to answers.
        best_epoch: the one whose weights it has, from 1.
        epochs: the metrics of each.
        finished: the metrics of `Head.finish` and `Head.complete`, such as a
            temperature.
        parameters: the number of those that were fitted.
        privacy: what a private fit has spent; None of any other.
        is_stopped: whether it ended before the last epoch of its recipe.
    """

    model: Any
    best_epoch: int
    epochs: list[Metrics]
    finished: Metrics
    execution: Execution
    weights_digest: str
    parameters: int
    privacy: PrivacyRecord | None = None
    is_stopped: bool = False

    @property
    def metrics(self) -> Metrics:
        """The metrics of the epoch whose weights it has, and of the fit."""
        return {**self.epochs[self.best_epoch - 1], **self.of_the_fit}

    @property
    def facts(self) -> dict[str, str | int | float | bool]:
        """The execution and, of a private fit, what its samples and noise follow from.

        They are recorded, and compared by `headrace reproduce`.
        """
        private = {"privacy_seed": self.privacy.seed} if self.privacy else {}
        return {**asdict(self.execution), **private}

    @property
    def of_the_fit(self) -> Metrics:
        """The metrics of the fit, which no single epoch has.

        ``stopped_epoch`` is among them where it ended before its last epoch.
        """
        fit = {"best_epoch": self.best_epoch, "parameters": self.parameters}
        stopped = {"stopped_epoch": len(self.epochs)} if self.is_stopped else {}
        return {**fit, **stopped, **self.finished}


class Fit:
    """A model that is built and ready to be fitted.

    Args:
        spec: only ``model.arguments`` and ``training`` are used.
        folder: of the pipeline, which may have a builder of its own.
        builder: the name of the builder.
        data: from `open_data`.
        checkpoints: the fit resumes from the newest one, if any.
        strategy: of several machines, from `headrace.stages.fitting.cluster`; None:
            the devices of this machine alone.
        secret: of the samples and the noise of a private fit; by default they follow
            from the recipe's seed.
        recorded: the `FittedModel.facts` of the fit to repeat, if any.

    Attributes:
        execution: how the steps are computed.
        privacy: the plan of a private fit; None of any other.

    Raises:
        SpecError: the builder does not suit the data, its network cannot be calibrated
            or private, or this machine has too few devices.
        UsageError: a private fit needs a package, or its budget cannot be kept.
        Refusal: a device is out of memory, or a private fit has too many rows.
        DependencyError: another machine does not answer.
    """

    def __init__(  # noqa: PLR0913
        self,
        spec: PipelineSpec,
        folder: Path,
        builder: str,
        data: TrainingData,
        checkpoints: Checkpoints | None = None,
        strategy: Any = None,
        secret: str = "",
        recorded: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        load_backend()
        import keras

        check_data(spec)

        recipe, description = spec.training, data.description
        learned = task(description.task)
        strategy = choose_devices(recipe, strategy)
        keras.utils.clear_session()  # names of layers start anew: a digest has them
        with seeded(recipe.seed), translate_errors(recipe, strategy):
            arguments = spec.model.arguments
            if data.home is not None:
                arguments = backbones.arguments_of(spec, data.home)
            targets = partial(some_targets, data)
            with strategy.scope():
                preprocessing, network = models.build(
                    builder, description, arguments, folder, targets
                )
            learned.head.check_training(network, recipe)
            if recipe.privacy is not None:
                check_network(preprocessing, network)
            fitting = Fitting(preprocessing, network, description, recipe)
            self._fitting, self._data = fitting, data
            inputs = inputs_of(data, fitting)
            network = inputs.cut.rest if inputs.cut else network
            rows = int(inputs.train.counts.sum())
            item, window = inputs.item_bytes, inputs.window_bytes
            if recipe.privacy is not None:
                check_size(rows, item)
                window = max(window, rows * item)
            planned = plan_execution(recipe, network, rows, item, strategy, window)
            chosen = choose_precision(recipe, learned.head, planned.device, strategy)
            self.execution = replace(planned, precision=chosen).repeating(recorded)
            # Outside the scope: the saved model, and predictions, are on one device.
            model = models.compose(description, preprocessing, fitting.network)
            facts = _all_that_matters(spec, builder, data, fitting.network)
            batch_size = self.execution.batch_size
            self.privacy = plan_privacy(recipe, rows, batch_size, facts, secret)
            parts = model, network, inputs, recipe, self.execution, strategy, learned
            asked, medium = recipe.augment, description.medium
            augmentation = Augmenter(asked, medium) if asked else None
            self._setup = Setup(*parts, folder, self.privacy, augmentation)
            loop = PrivateLoop if self.privacy else Loop
            precision = self.execution.precision
            with whole_batches(strategy, network), products_in(precision, network):
                self._loop = loop(self._setup, checkpoints)

    def run(self, on_epoch: OnEpoch) -> FittedModel:
        """Fit it.

        Args:
            on_epoch: called with the epoch, from 1, and its metrics; an exception ends
                the fit.

        Raises:
            Refusal: training diverged, or a device is out of memory.
            IntegrityError: the data is damaged.
            DependencyError: the disk failed, or another machine does not answer.
        """
        setup, data, head = self._setup, self._data, self._setup.task.head
        with translate_errors(setup.spec, setup.strategy):
            self._loop.run(on_epoch)
            targets = setup.inputs.val.targets
            finished = head.finish(setup.network, setup.validation, targets, setup.spec)
            model, more = head.complete(
                setup.model, self._fitting, data.train, data.val
            )
        progress = self._loop.progress
        return FittedModel(
            model=model,
            best_epoch=progress.kept or progress.epoch,
            epochs=progress.epochs,
            finished={**finished, **more},
            execution=setup.execution,
            weights_digest=weights_digest(model),
            parameters=sum(math.prod(v.shape) for v in self.network.trainable_weights),
            privacy=self.privacy.record(progress.total_steps) if self.privacy else None,
            is_stopped=progress.epoch < setup.spec.epochs,
        )

    @property
    def network(self) -> Any:
        """The Keras model that is fitted."""
        return self._setup.network

    @property
    def train(self) -> Shards:
        """The rows that it is fitted to, as the network takes them."""
        return self._setup.inputs.train


def _all_that_matters(
    spec: PipelineSpec, builder: str, data: TrainingData, network: Any
) -> dict[str, str]:
    """All that the weights of a fit depend on, by name."""
    recipe = spec.training.model_dump_json(exclude=CHECKPOINT_FIELDS)
    return {
        "data": data.identity,
        "builder": f"{builder} {spec.model.model_dump_json()}",
        "training": recipe,
        "network": network.to_json(),
        "weights": weights_digest(network),
    }
