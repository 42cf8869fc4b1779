"""All that differs between media, one package each, looked up by name.

A package gives what `Medium` lists. Beside them, `forms` has what they all speak of.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from headrace import extensions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    from headrace.media.chunks import Chunk
    from headrace.media.forms import Decoded, Expectation, Fitted, Payload, Size
    from headrace.records import DataDescription, Form
    from headrace.spec import DataSpec


class Medium(Protocol):
    """What a package here is asked for.

    Attributes:
        DTYPE: of the values of an item at rest.
        PADDED: whether zeros at an item's end are not part of it.
        CACHED: whether a network is fitted to what pre-processing gives, computed once.
        DUPLICATES: ``set aside``, or ``keep`` where equal items of one split are
            natural.
        NEAR_LIMIT: share of test items that may have a near copy in train.
        SCALE_COLUMNS: whose mean must be of one scale in train and test.
        DEFAULT_BUILDER: a family in ``headrace.models``, where a pipeline names none.
        BEST_BUILDER: the one that was measured best, which `headrace new` names.
        UNITS: of an item's shape, in words.
        FIELDS: that a pipeline's ``[data]`` has for this medium alone: the type of
            each, as Python writes it, and pydantic's arguments of a field. A literal,
            since it is read without an import.
        IS_TEXT: whether an item is text, which may be a table's cell, and has an
            encoding; files of other media are opened as they are.
        SUFFIXES: that names of its files end with.
        MAGICS: that its files begin with, where they can be told apart so.
        EXAMPLE: what an item is called, and the suffix of a typical file.
        SOURCES: what data of it may be, for messages.
        SAMPLE_INCHES: width and height of an item that `draw_sample` draws; None where
            items are shown in tables only, and nothing is drawn.
    """

    DTYPE: np.dtype[Any]
    PADDED: bool
    CACHED: bool
    DUPLICATES: str
    NEAR_LIMIT: float
    SCALE_COLUMNS: tuple[str, ...]
    DEFAULT_BUILDER: str
    BEST_BUILDER: str
    UNITS: str
    FIELDS: dict[str, Any]
    IS_TEXT: bool
    SUFFIXES: tuple[str, ...]
    MAGICS: tuple[bytes, ...]
    EXAMPLE: tuple[str, str]
    SOURCES: str
    SAMPLE_INCHES: tuple[float, float] | None

    def form_of(self, data: DataSpec) -> Form:
        """What is declared of all items; SpecError where it is no form of this one."""

    def decode_array(
        self,
        array: npt.NDArray[Any],
        form: Form,
        names: Sequence[str],
        where: str,
        high: float | None = None,
    ) -> tuple[Payload, str]:
        """An array of items, and the scale it came in; SourceError where it is none."""

    def sizes(self, files: Sequence[bytes], form: Form) -> list[Size]:
        """How large each encoded item is, by its header, before it is decoded."""

    def decode_files(self, files: Sequence[bytes], form: Form) -> Decoded:
        """Encoded items, each decoded or with the problem that it has."""

    def suggest(self, chunks: Iterable[Chunk]) -> dict[str, Any]:
        """Fields of ``[data]`` that suit undecoded items; empty where none need be."""

    def usual_shape(
        self, shapes: Counter[tuple[int, ...]], form: Form
    ) -> tuple[int, ...]:
        """The shape that items of these shapes are brought to."""

    def fit(self, payload: Payload, shape: tuple[int, ...]) -> Fitted:
        """Items of one shape brought to another."""

    def as_column(self, payload: Payload) -> pa.Array:
        """Items ``(n, *shape)`` as they lie in Parquet."""

    def from_column(self, column: pa.Array, shape: tuple[int, ...]) -> Payload:
        """The way back."""

    def columns(
        self, payload: Payload, labels: Sequence[str], data: DataDescription
    ) -> dict[str, npt.NDArray[Any]]:
        """What can be told of each item, ``(n,)`` each.

        ``blank`` (bool) is one of them, ``fingerprint`` (uint64) another: it is near
        for items that are alike.
        """

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """What is expected of those columns."""

    def alike(
        self, first: Payload, second: Payload, data: DataDescription
    ) -> npt.NDArray[np.bool_]:
        """Which of pairs ``(n, *shape)`` with near fingerprints are copies."""

    def raw(self, payload: Payload) -> npt.NDArray[Any]:
        """Items as a saved model takes them."""

    def variants(self, payload: Payload) -> list[npt.NDArray[Any]]:
        """All forms in which a saved model takes them."""

    def check_input(self, x: Any, data: DataDescription) -> npt.NDArray[Any]:
        """What a user gives a model, as it takes it; InputError where it is none."""

    def preprocessing(self, data: DataDescription) -> Any:
        """The default pre-processing: a Keras model from raw items."""

    def as_html(self, sample: Payload, data: DataDescription) -> str:
        """One item to be seen, read or heard in a page, escaped."""

    def draw_sample(self, axes: Any, sample: Payload, data: DataDescription) -> None:
        """Draw one item on matplotlib axes."""


def medium(name: str) -> Medium:
    """The package of a medium, for example ``headrace.media.image``."""
    return cast(Medium, importlib.import_module(extensions.modules("media")[name]))


def preprocessing(data: DataDescription) -> Any:
    """The medium's default pre-processing: a Keras model from raw items."""
    return medium(data.medium).preprocessing(data)
