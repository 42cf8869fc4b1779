"""Loads a logged model, checks its inputs, and computes its outputs.

A model is loaded only from a file with the recorded digest, in Keras's safe mode.
"""

from __future__ import annotations

import contextlib
import functools
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.data.preparing import prepare, unprepared
from headrace.errors import IntegrityError, NotFoundError
from headrace.imports.backend import compiled, load_backend
from headrace.media.arrow import lengths
from headrace.media.chunks import ITEM_BYTES
from headrace.media.forms import Payload
from headrace.models.backbones import check_installed
from headrace.models.logged.halves import halves
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.tasks import asked, task
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    from headrace.imports.backend import Compute
    from headrace.state.tracking import Tracking

# Computed at once: so many items, whose answers have so many values.
BLOCK, BLOCK_VALUES = 1024, 2**21
ITEM_VALUES = 2**26  # of the items together, which a model may copy several times
VALUES = 8192  # of items of any length, padding included
IDS = 1024  # of texts, likewise: an encoder pays more for padding than for a call
_CONFIG_BYTES = 2**24


def answers(model: Any, items: Payload) -> Outputs:
    """The outputs of a model as float32 ``(n, ...)``; see `outputs`."""
    return outputs(model, items).astype(np.float32, copy=False)


def outputs(model: Any, items: Payload) -> Payload:
    """The outputs of a model for many items, in bounded memory.

    Items of a model that takes any length are padded with zeros at their end. They are
    answered in order of length, so that each batch has little padding; and so are the
    ids of texts, where a model has `halves`.

    Args:
        model: a Keras model with one input and one output.
        items: ``(n, *shape)``, in the model's input form.

    Returns:
        ``(n, ...)``.
    """
    if parts := halves(model):
        ids = outputs(parts.first, items)
        return of_any_length(compiled(parts.second), ids, IDS)
    compute = compiled(model)
    if len(model.inputs[0].shape) == 2 and model.inputs[0].shape[1] is None:
        return of_any_length(compute, items, VALUES)
    rows = rows_at_once(model.outputs[0].shape[1:], model.inputs[0].shape[1:])
    starts = range(0, max(1, len(items)), rows)
    return np.concatenate([compute(items[start : start + rows]) for start in starts])


def rows_at_once(
    shape: Iterable[int | None], of_item: Iterable[int | None] = ()
) -> int:
    """How many items are computed at once.

    Args:
        shape: of one answer; sides that are not known count as 1.
        of_item: the shape of one item.
    """
    values, item_values = (
        max(1, math.prod(side or 1 for side in sides)) for sides in (shape, of_item)
    )
    return max(1, min(BLOCK, BLOCK_VALUES // values, ITEM_VALUES // item_values))


def of_any_length(compute: Compute, items: Payload, values: int) -> Payload:
    """The outputs for items of any length, in batches of similar ones.

    Args:
        compute: gives the outputs ``(k, ...)`` for items ``(k, length)``.
        items: ``(n, longest)``, padded with zeros at their end.
        values: of a batch at most, padding included.
    """
    sizes = np.maximum(lengths(items), 1)
    order = np.argsort(sizes, kind="stable")
    parts, start = [] if len(items) else [compute(items[:, :1])], 0
    while start < len(order):
        # Rows are in order, so the last one of a batch is the longest.
        widths = sizes[order[start : start + BLOCK]]
        fits = np.arange(1, len(widths) + 1) * widths <= values
        stop = start + max(1, int(fits.sum()))
        rows = order[start:stop]
        parts.append(compute(items[rows, : sizes[rows[-1]]]))
        start = stop
    return np.concatenate(parts)[np.argsort(order)]


def largest_difference(given: Outputs, golden: Outputs) -> float:
    """How far answers are from golden ones of the same shape; not finite if one is not.

    It is the largest absolute difference. That of a number above 1 is divided by its
    size, or by the usual one, the median: a float32 has seven digits, and a number near
    0 may be the difference of two large ones.
    """
    sizes = np.abs(golden)
    usual = np.maximum(1, np.median(sizes, axis=0))
    return float((np.abs(given - golden) / np.maximum(sizes, usual)).max())


class LoadedModel:
    """A model as it is served: raw items in, answers out.

    Facts about the targets in the data's description are attributes: the ``classes``
    of a classifier, in the order of its probabilities.

    Args:
        open_network: gives the Keras model; called once, at the first use of it.
        description: of the data that it was trained on.
        version: in the registry, if it has one.

    Attributes:
        max_item_bytes: of a decoded item at most.
        item_column: of the texts that it has learned from; None if none was named.
        encoding: of these texts; empty if they were Unicode.
        settings: for the other limits; None: those of the environment.
    """

    def __init__(
        self,
        open_network: Callable[[], Any],
        description: DataDescription,
        version: int | None = None,
    ) -> None:
        self._open_network = open_network
        self.description = description
        self.version = version
        self.max_item_bytes = ITEM_BYTES
        self.item_column: str | None = None
        self.encoding = ""
        self.settings: Settings | None = None

    @functools.cached_property
    def model(self) -> Any:
        """The Keras model."""
        return self._open_network()

    def __getattr__(self, name: str) -> Any:
        """A fact about the targets from the description, such as ``classes``."""
        if name.startswith("_") or name == "description":
            raise AttributeError(name)
        return getattr(self.description, name)

    def check(self, x: Any) -> Payload:
        """The input in the model's form; raises InputError if it does not fit."""
        if (items := unprepared(x, self.description)) is not None:
            x = np.array([self.prepare(item) for item in items])
        return asked(self.description).check_input(x, self.description)

    def prepare(self, item: Any) -> Payload:
        """One item as the model takes it, decoded as its training data was.

        An image of any size is resized where the pipeline's data was. Then a large
        JPEG is reduced while it is decoded. Of a file, and of an image that Pillow has
        opened and not yet loaded, this gives the training's item to the bit. The full
        pixels of a JPEG, loaded or in an array, give one that differs a little: pass
        the file. All other formats give the same either way.

        Args:
            item: the path of a file, or its bytes, or a file object open for them; an
                image also as Pillow has it, or as an array uint8 ``(height, width)`` or
                ``(..., channels)``.

        Returns:
            the item ``shape``; of an image uint8, of a sound float32.

        Raises:
            InputError: it cannot be decoded, has another form, or is larger than the
                settings or the pipeline's file allow.
            OSError: there is no such file.
        """
        settings = self.settings or Settings()
        return prepare(
            item, self.description, settings, self.max_item_bytes, self.encoding
        )

    def __call__(self, x: Any) -> Outputs:
        """The network's output: for a classifier, class probabilities.

        Args:
            x: raw items: images ``(n, *shape)`` as uint8 or float32 0..255, texts as
                a list of strings, sounds ``(n, samples)`` as float32 -1..1. Or one
                image or sound, or a list of them, each as `prepare` takes it: a path,
                bytes, a file object, an image of Pillow, an array uint8 of any size.

        Returns:
            float32 ``(n, ...)``.

        Raises:
            InputError: the dtype, shape or range is wrong or ambiguous, or an item
                cannot be decoded or is too large.
            OSError: there is no such file.
        """
        return answers(self.model, self.check(x))

    def predict(self, x: Any) -> list[Any]:
        """The answer to each item: for a classifier, the most probable label.

        Args:
            x: as `__call__` takes it: paths, images of Pillow, file objects, arrays.
        """
        return task(self.description.task).answers.answers(self(x), self.description)


def open_model(
    path: Path, model_uri: str, description: DataDescription, version: int | None = None
) -> LoadedModel:
    """Load the Keras file of a logged model, its digest checked.

    Raises:
        IntegrityError: it is not a safe Keras model.
        UsageError: it needs KerasHub, which is not installed.
    """
    if _names_hub(path):
        check_installed()
    load_backend()
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a hostile file makes Keras raise errors of all kinds
        why = str(error)[:300] or type(error).__name__
        raise IntegrityError(
            f"The model {model_uri} cannot be loaded: {why}",
            "Restore it from a backup, or train again.",
        ) from error
    return LoadedModel(lambda: model, description, version)


def _names_hub(path: Path) -> bool:
    """Whether a Keras file names a module of KerasHub."""
    with contextlib.suppress(OSError, KeyError, RuntimeError, zipfile.BadZipFile):
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            return b'"module": "keras_hub.' in file.read(_CONFIG_BYTES)
    return False


def load(
    name: str, settings: Settings | None = None, *, at_first_use: bool = False
) -> LoadedModel:
    """Load a version of a model that the ledger has.

    Args:
        name: ``MODEL``, which is its champion; ``MODEL@champion``; or
            ``MODEL/VERSION``.
        settings: None: those of the environment.
        at_first_use: whether its file is loaded only when the model is first used, so
            that what is asked of it can be checked before; not where it was collected.

    Raises:
        NotFoundError: there is no such version.
        IntegrityError: its file is gone or changed; with ``at_first_use`` the first use
            raises it.
    """
    from headrace.state.home import Home

    settings = settings or Settings()
    home = Home.existing(settings, f"model {name!r}")
    try:
        version = home.ledger.find(name)
    except NotFoundError as error:
        message = f"{error.message} The home is {settings.home}."
        raise NotFoundError(message, error.action) from None

    def open_network() -> Any:
        try:
            return load_version(home.tracking, version).model
        except IntegrityError:
            home.ledger.facts.require_files(version, IntegrityError)
            raise

    loaded = LoadedModel(open_network, version.description, version.version)
    loaded.max_item_bytes = version.max_item_bytes or ITEM_BYTES
    loaded.settings = settings
    loaded.item_column = version.item_column
    loaded.encoding = version.encoding
    if not at_first_use or home.ledger.facts.is_deleted(version):
        _ = loaded.model
    return loaded


def load_champion(name: str, settings: Settings | None = None) -> LoadedModel:
    """Load the champion of a model; raises what `load` raises."""
    return load(f"{name}@champion", settings)


def load_version(tracking: Tracking, version: Any) -> LoadedModel:
    """A registered version, from its row in the ledger.

    Raises:
        IntegrityError: its file is gone, changed or no safe Keras model.
    """
    with version_file(tracking, version) as path:
        uri, description = version.model_uri, version.description
        loaded = open_model(path, uri, description, version.version)
    loaded.max_item_bytes = version.max_item_bytes or ITEM_BYTES
    loaded.item_column = version.item_column
    loaded.encoding = version.encoding
    return loaded


@contextlib.contextmanager
def version_file(tracking: Tracking, version: Any) -> Iterator[Path]:
    """The Keras file of a registered version, its digest checked.

    Raises:
        IntegrityError: it is gone or changed; or the block raises it.
    """
    try:
        with tracking.version_file(version) as path:
            yield path
    except IntegrityError as error:
        raise IntegrityError(
            error.message,
            f"Run `headrace verify {version.model}/{version.version} --repair`.",
        ) from error
