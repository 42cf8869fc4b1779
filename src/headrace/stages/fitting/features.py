"""What pre-processing learns from the train split, and what it makes of items, once.

Where a medium says so, a network is fitted to what its pre-processing gives. That is
computed when rows are read, not at every step: a vectoriser of text compiles nowhere,
and the spectrum of a sound costs more than a step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError
from headrace.media import medium
from headrace.models.logged.inference import outputs
from headrace.stages.fitting import execution
from headrace.stages.fitting.data import Data, Examples, Shards
from headrace.tasks import task
from headrace.tasks.forms import Targets

ADAPT_ROWS = 200_000
ADAPT_BYTES = 2**29
PREPARED_BYTES = 2**30
_STATES = ("vocabulary", "mean", "bin_boundaries")  # as Keras's layers name them


@dataclass(frozen=True, slots=True)
class Prepared:
    """Shards whose items are what pre-processing makes of them.

    Attributes:
        counts: rows of each shard, int64 ``(shards,)``.
    """

    shards: Shards
    prepare: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """As of the shards."""
        return self.shards.counts

    def read(self, shard: int) -> Examples:
        """The rows of one shard."""
        rows = self.shards.read(shard)
        return Examples(self.prepare(rows.items), rows.targets)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the network is fitted to.

    Attributes:
        preprocessing: applied to each batch; None where it was applied already.
        shape: of one item.
        dtype: of its values.
        target_dtype: of targets.
    """

    train: Shards
    val: Examples
    preprocessing: Any
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    target_dtype: str

    @property
    def item_bytes(self) -> int:
        """The size of one item."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    @property
    def window_bytes(self) -> int:
        """That are in memory together: what is dear to compute is kept if it can be."""
        if self.preprocessing is None:
            return PREPARED_BYTES
        return execution.WINDOW_BYTES


def inputs_of(data: Data, preprocessing: Any) -> Inputs:
    """Adapt the pre-processing to the train split, and apply it where it is cached.

    Args:
        data: the splits.
        preprocessing: of the builder; its layers with a state are adapted in place.

    Raises:
        SpecError: the medium's pre-processing is cached, and its shape is not fixed.
    """
    module, description = medium(data.description.medium), data.description
    target_dtype = task(description.task).labels.DTYPE
    adapt(preprocessing, data)
    if not module.CACHED:
        dtype = np.dtype(module.DTYPE)
        shape = description.shape
        return Inputs(data.train, data.val, preprocessing, shape, dtype, target_dtype)
    given = preprocessing.outputs[0]
    shape = tuple(given.shape[1:])
    if None in shape:
        raise SpecError(
            f"The builder's pre-processing gives items of shape {shape}.",
            "Fix their shape, for example by output_sequence_length.",
        )

    # Keras gives places in a vocabulary as int64, which none is long enough for.
    dtype = np.dtype("int32" if given.dtype == "int64" else given.dtype)

    def prepare(items: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if not len(items):
            return np.empty((0, *shape), dtype)
        return outputs(preprocessing, module.raw(items)).astype(dtype, copy=False)

    val = Examples(prepare(data.val.items), data.val.targets)
    train = Prepared(data.train, prepare)
    return Inputs(train, val, None, shape, dtype, target_dtype)


def adapt(preprocessing: Any, data: Data) -> None:
    """Let the layers that learn from data do so, each from what reaches it.

    Shards are random samples of the data, so where it is large the first rows do.

    Args:
        preprocessing: a functional or sequential Keras model.
        data: only the train split is read.
    """
    import keras

    layers = [layer for layer in preprocessing.layers if _learns(layer)]
    if not layers:
        return
    items = _some_items(data)
    for layer in layers:
        source = layer.input
        if any(source is own for own in preprocessing.inputs):
            reaching = items
        else:
            before = keras.Model(preprocessing.inputs, source)
            reaching = outputs(before, items)
        layer.adapt(reaching)
        if hasattr(layer, "get_vocabulary"):
            _keep_what_can_be_saved(layer)


def _keep_what_can_be_saved(layer: Any) -> None:
    """Keras saves a vocabulary as lines: no term can have a line's end in it."""
    learnt = layer.get_vocabulary(include_special_tokens=False)
    kept = [term for term in learnt if str(term).splitlines() == [str(term)]]
    if kept != learnt or not kept:
        layer.set_vocabulary(kept or ["\ufffd"])  # Keras keeps no table of nothing


def _learns(layer: Any) -> bool:
    """Whether a layer has a state to learn; one that was given it keeps what it has."""
    if not hasattr(layer, "adapt"):
        return False
    given = layer.get_config()
    return all(given.get(name) is None for name in _STATES)


def some_targets(data: Data) -> Targets:
    """Targets of the first rows of train, which are random ones, ``(n, ...)``."""
    parts: list[Targets] = []
    rows = 0
    for shard in np.flatnonzero(data.train.counts).tolist():
        parts.append(data.train.read(shard).targets)
        rows += len(parts[-1])
        if rows >= ADAPT_ROWS:
            break
    return np.concatenate(parts)[:ADAPT_ROWS]


def _some_items(data: Data) -> npt.NDArray[Any]:
    module = medium(data.description.medium)
    parts: list[npt.NDArray[Any]] = []
    rows = size = 0
    for shard in np.flatnonzero(data.train.counts).tolist():
        parts.append(data.train.read(shard).items)
        rows += len(parts[-1])
        size += parts[-1].nbytes
        if rows >= ADAPT_ROWS or size >= ADAPT_BYTES:
            break
    raw: npt.NDArray[Any] = module.raw(np.concatenate(parts)[:ADAPT_ROWS])
    return raw
