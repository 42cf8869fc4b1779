"""The data of a fit: the splits, and the inputs of the network.

The train split is read in shards, the val split is in memory. Pre-processing is adapted
to the train split. Where a medium is `CACHED`, the network is fitted to the outputs of
the pre-processing, which are computed when rows are read and not at every step: a text
vectoriser cannot be compiled, and the spectrum of a sound costs more than a step. The
frozen beginning of a network is computed then as well, unless items are augmented.

A task may have examples of its own, such as crops of documents. The network is fitted
to them, and the whole model answers the val split.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from headrace.data.snapshots.splits import SplitRows, read_split
from headrace.errors import SpecError
from headrace.models.logged.loading import outputs
from headrace.pipeline import TrainingSpec
from headrace.records import ContractRecord, DataDescription, SnapshotRecord
from headrace.stages.fitting import execution
from headrace.stages.fitting.features import Cut, Features, frozen_prefix
from headrace.stages.fitting.shards import Examples, Planted, Prepared, prepared
from headrace.state.home import Home
from headrace.tasks import asked, task
from headrace.tasks.forms import Example, Shards, Targets, parts_of
from headrace.tasks.learn import Fitting

ADAPT_ROWS = 200_000
ADAPT_BYTES = 2**29
PREPARED_BYTES = 2**30
_STATES = ("vocabulary", "mean", "bin_boundaries")  # as Keras's layers name them


@dataclass(frozen=True, slots=True)
class TrainingData:
    """A snapshot as the input of fits.

    Attributes:
        description: of the items and targets.
        train, val: the splits.
        identity: the digests of the snapshot and of what is left out of it.
        home: has the backbones, and keeps the outputs of frozen layers.
    """

    description: DataDescription
    train: Shards
    val: Example
    identity: str = ""
    home: Home | None = None


def open_data(
    snapshot: SnapshotRecord, contract: ContractRecord, home: Home | None = None
) -> TrainingData:
    """The splits of a snapshot without their quarantined rows.

    Raises:
        IntegrityError: the snapshot or the quarantine is missing or damaged.
    """
    uri = contract.quarantine_uri
    train = SplitRows(snapshot, "train", uri)
    val = read_split(snapshot, "val", uri)
    identity = f"{snapshot.digest} {PurePosixPath(uri).name}"
    return TrainingData(snapshot.description, train, val, identity, home)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of the network.

    Attributes:
        val: of the network, or raw questions for the whole model.
        preprocessing: applied to each batch; None where it was applied before.
        shape: of one item.
        dtype: of its values.
        target_dtype, target_shape: of targets.
        asks_model: whether the whole model answers val.
        cut: of a network whose beginning is frozen; the rest is fitted.
        varies: whether the network takes any number of steps. Then a batch is cut to
            its longest row, and has rows of about one length.
    """

    train: Shards
    val: Example
    preprocessing: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    target_dtype: np.dtype[Any]
    target_shape: tuple[int, ...] = ()
    asks_model: bool = False
    varies: bool = False
    cut: Cut | None = None

    @property
    def item_bytes(self) -> int:
        """The size of one item."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def window_bytes(self) -> int:
        """In memory together; more for prepared items, which take long to compute."""
        is_prepared = self.preprocessing is None
        return PREPARED_BYTES if is_prepared else execution.WINDOW_BYTES


def inputs_of(data: TrainingData, fitting: Fitting) -> Inputs:
    """Adapt the pre-processing to the train split, and apply it where it is cached.

    Args:
        data: the splits.
        fitting: what is fitted; the adaptable layers of its pre-processing are adapted
            in place.

    Raises:
        SpecError: pre-processing is cached, and its shape is not fixed.
    """
    description, questions = data.description, asked(data.description)
    labels = task(description.task).labels
    of_target = np.dtype(labels.DTYPE), labels.target_shape(description)
    preprocessing = fitting.preprocessing
    adapt(preprocessing, data)
    if task(description.task).head.HAS_EXAMPLES:
        return _own_examples(data, fitting)
    cut = cut_of(fitting.network, fitting.training)
    shape, dtype = form_in_memory(fitting, cut)
    if not questions.CACHED and cut is None:
        return Inputs(data.train, data.val, preprocessing, shape, dtype, *of_target)
    before = [preprocessing] if cut is None else [preprocessing, cut.prefix]
    size = int(data.train.counts.sum()) * int(np.prod(shape)) * dtype.itemsize
    home = data.home if cut is not None and size <= PREPARED_BYTES else None
    features = Features(before, questions.raw, home)

    def prepare(rows: Example) -> Examples:
        if not len(rows.targets):
            return Examples(np.empty((0, *shape), dtype), rows.targets)
        items = features(rows.questions)
        return Examples(items.astype(dtype, copy=False), rows.targets)

    train = prepared(data.train, prepare, keeps=size > PREPARED_BYTES, whole=bool(cut))
    network = fitting.network if cut is None else cut.rest
    varies = None in network.inputs[0].shape[1:2]
    val = prepare(data.val)
    return Inputs(train, val, None, shape, dtype, *of_target, varies=varies, cut=cut)


def form_in_memory(
    fitting: Fitting, cut: Cut | None
) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and the dtype of an item in memory: raw, or prepared and cached.

    Raises:
        SpecError: pre-processing is cached, and its shape is not fixed.
    """
    questions = asked(fitting.data)
    if not questions.CACHED and cut is None:
        return fitting.data.shape, np.dtype(questions.DTYPE)
    made = (fitting.preprocessing if cut is None else cut.prefix).outputs[0]
    shape = tuple(made.shape[1:])
    if None in shape:
        raise SpecError(
            f"The builder's pre-processing gives items of shape {shape}.",
            "Fix their shape, for example by output_sequence_length.",
        )
    # Keras gives indices in a vocabulary as int64; int32 is enough.
    return shape, np.dtype("int32" if made.dtype == "int64" else made.dtype)


def check_patience(recipe: TrainingSpec, rows: int) -> None:
    """Refuse a training that is to stop by validation rows, of which there are none."""
    if recipe.patience and not rows:
        raise SpecError(
            f"training.patience = {recipe.patience}, and there are no validation rows "
            "to stop by.",
            "Give the data a split called val, or leave patience out.",
        )


def cut_of(network: Any, training: TrainingSpec) -> Cut | None:
    """The frozen beginning of a network and the rest, if only the rest is fitted.

    Augmented items are others in each epoch, and pass through the whole network.
    """
    return None if training.augment else frozen_prefix(network)


def _own_examples(data: TrainingData, fitting: Fitting) -> Inputs:
    """The inputs of a network whose task has examples of its own."""
    make = task(fitting.data.task).head.examples

    def prepare(rows: Example) -> Examples:
        return Examples(*make(rows, fitting))

    train: Shards = Prepared(data.train, prepare, keeps=True, recounts=True)
    if planted := task(fitting.data.task).head.planted(fitting):
        train = Planted(train, Examples(*planted))
    first = prepare(next(_first_parts(data)))
    items, targets = first.items, first.targets
    raw = asked(fitting.data).raw(data.val.questions)
    return Inputs(
        train,
        Examples(raw, data.val.targets),
        None,
        items.shape[1:],
        items.dtype,
        targets.dtype,
        targets.shape[1:],
        asks_model=True,
    )


def adapt(preprocessing: Any, data: TrainingData) -> None:
    """Adapt the layers that learn from data, each to its own inputs.

    Shards are random samples of the data, so the first rows are enough.

    Args:
        preprocessing: a functional or sequential Keras model.
        data: only the train split is read.
    """
    import keras

    layers = list(filter(learns, preprocessing.layers))
    if not layers:
        return
    parts = [part.questions for part in _first_parts(data, ADAPT_BYTES)]
    items = asked(data.description).raw(np.concatenate(parts)[:ADAPT_ROWS])
    for layer in layers:
        inputs = items
        if not any(layer.input is own for own in preprocessing.inputs):
            before = keras.Model(preprocessing.inputs, layer.input)
            inputs = outputs(before, items)
        layer.adapt(inputs)
        if hasattr(layer, "get_vocabulary"):
            _drop_lines(layer)


def _drop_lines(layer: Any) -> None:
    """Drop terms with a line break: Keras saves a vocabulary as lines."""
    terms = layer.get_vocabulary(include_special_tokens=False)
    plain = [term for term in terms if str(term).splitlines() == [str(term)]]
    if plain != terms or not plain:
        layer.set_vocabulary(plain or ["\ufffd"])  # Keras rejects an empty vocabulary


def learns(layer: Any) -> bool:
    """Whether a layer must be adapted: its state was not given to it."""
    if not hasattr(layer, "adapt"):
        return False
    config = layer.get_config()
    return all(config.get(name) is None for name in _STATES)


def some_targets(data: TrainingData) -> Targets:
    """Targets of the first rows of train, which are a random sample, ``(n, ...)``."""
    parts = [part.targets for part in _first_parts(data)]
    return np.concatenate(parts)[:ADAPT_ROWS]


def _first_parts(data: TrainingData, most_bytes: float = math.inf) -> Iterator[Example]:
    """The first shards of train, until they have `ADAPT_ROWS` rows."""
    rows = size = 0
    for part in parts_of(data.train):
        yield part
        rows += len(part.targets)
        size += part.items.nbytes
        if rows >= ADAPT_ROWS or size >= most_bytes:
            return
