"""What a medium provides: a class with defaults for what not every medium can.

And the digest by which an item of it is known.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.media import arrow
from headrace.media.arrow import lengths
from headrace.media.forms import (
    Columns,
    Decoded,
    Expectation,
    Fitted,
    Flags,
    Payload,
    Problem,
    Shape,
    Sizes,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from headrace.media.chunks import Chunk
    from headrace.media.forms import Pieces
    from headrace.pipeline import DataSpec
    from headrace.records import DataDescription, Form


class Medium(ABC):
    """A medium; its module has one object of a subclass, ``MEDIUM``.

    `IS_TEXT` and `DEFAULT_BUILDER` are read without an import, so they are literals, as
    are these constants of the module, if it has them:

    - ``FIELDS``: the fields of ``[data]`` that only this medium has: the type of each,
      as Python writes it, and the arguments of pydantic's ``Field``. With
      ``"omitted": True``, digests of pipelines that do not set a field do not depend
      on it.
    - ``AUGMENT``: the fields of ``[training.augment]`` in the same form, where a medium
      has a module `augmentation`; see `headrace.media.Augmentation`.
    - ``AUGMENTED``: the names of those, if any, that made no family worse where there
      are few items with labels; `headrace new` writes them.

    Attributes:
        DTYPE: the type of an item's values in a snapshot.
        PADDED: whether zeros at an item's end are padding.
        CACHED: whether features are computed once before training.
        DUPLICATES: ``set aside``, or ``keep`` where equal items of one split are
            natural.
        NEAR_LIMIT: share of test items that may have a near copy in train.
        SCALE_COLUMNS: the columns whose means must have one scale in train and test.
        RELATIVE_COLUMNS: the columns in which an item's value depends on other items or
            on its label.
        DEFAULT_BUILDER: the family in ``headrace.models`` of pipelines that name none.
        BEST_BUILDER: the family that was measured best, which `headrace new` names.
        UNITS: of an item's shape, in words.
        IS_TEXT: whether an item is text. A text may be a table's cell, and has an
            encoding; files of other media are opened as they are.
        SUFFIXES: the suffixes of its files.
        MAGICS: the first bytes of its files; empty where they have no typical ones.
        MEDIA_TYPES: the media types of its files; ``image/*`` for all that begin so.
        EXAMPLE: what an item is called, and the suffix of a typical file.
        SOURCES: what to give as data, for messages.
        ADVICE: what to do about items that cannot be used, by the check of their
            `Problem`.
        SAMPLE_INCHES: width and height of the picture that `draw_sample` draws; None
            where reports show items in tables.
        DIVIDES_ITEMS: whether it has `pieces` and `draw_map`, by which answers are
            explained.
    """

    DTYPE: np.dtype[Any]
    PADDED: bool = False
    CACHED: bool = False
    DUPLICATES: str = "set aside"
    NEAR_LIMIT: float = 0.05
    SCALE_COLUMNS: tuple[str, ...] = ()
    RELATIVE_COLUMNS: tuple[str, ...] = ()
    DEFAULT_BUILDER: str
    BEST_BUILDER: str
    UNITS: str = "values"
    IS_TEXT: bool = False
    SUFFIXES: tuple[str, ...]
    MAGICS: tuple[bytes, ...] = ()
    MEDIA_TYPES: tuple[str, ...]
    EXAMPLE: tuple[str, str]
    SOURCES: str
    ADVICE: Mapping[str, str] = MappingProxyType({})
    SAMPLE_INCHES: tuple[float, float] | None = None
    DIVIDES_ITEMS: bool = False

    @abstractmethod
    def form_of(self, data: DataSpec) -> Form:
        """The form that a pipeline declares; SpecError for any other."""

    @abstractmethod
    def decode_array(
        self,
        array: Payload,
        form: Form,
        names: Sequence[str],
        where: str,
        high: float | None,
    ) -> tuple[Payload, str]:
        """Bring an array of items to the medium's type.

        Args:
            form: what the pipeline declares.
            names: of the rows, ``(n,)``, for messages.
            high: the greatest finite value of the array of floats that ``array`` is a
                part of; its own where None.

        Returns:
            the items, and their scale; "" where zeros alone do not show it.

        Raises:
            SourceError: another shape, type or range, with the first row and value.
        """

    @abstractmethod
    def sizes(self, files: Sequence[bytes], form: Form) -> Sizes:
        """The sizes of files and of their items, decoded, by the files' headers."""

    @abstractmethod
    def decode_files(self, files: Sequence[bytes], form: Form) -> Decoded:
        """Decode files, or none; one that cannot be decoded becomes a `Problem`."""

    def decode_object(self, item: Any, form: Form) -> Payload | Problem:
        """One item as a program holds it in memory, beside the bytes of a file."""
        return Problem("unreadable", f"{type(item).__name__} is no path and no bytes")

    def suggest(self, chunks: Iterable[Chunk]) -> dict[str, Any]:
        """Fields of ``[data]`` that suit the undecoded items, for `headrace new`."""
        return {}

    def usual_shape(self, shapes: Counter[Shape], form: Form) -> Shape:
        """The one shape for items of these shapes: of most; the largest of those."""
        return max(shapes, key=lambda shape: (shapes[shape], shape))

    @abstractmethod
    def fit(self, payload: Payload, shape: Shape) -> Fitted:
        """Bring items of one shape to another."""

    def long_form(self, data: DataDescription) -> Form | None:
        """The form of items that `parts` takes, and one value more.

        None where items are never cut into parts.
        """
        return None

    def parts(self, item: Payload, data: DataDescription) -> Payload | Problem:
        """An item in parts ``(parts, *shape)``; or why it is not taken."""
        return item[np.newaxis]

    def as_column(self, payload: Payload) -> pa.Array:
        """Items ``(n, *shape)`` as a column of a snapshot: little-endian bytes."""
        little = self.DTYPE.newbyteorder("<")
        return arrow.as_binary(payload.astype(little, copy=False))

    def from_column(self, column: pa.Array, shape: Shape) -> Payload:
        """The reverse of `as_column`; it may copy nothing."""
        values = arrow.as_bytes(column).view(self.DTYPE.newbyteorder("<"))
        return values.reshape(-1, *shape)

    @abstractmethod
    def columns(
        self, payload: Payload, labels: Sequence[str], data: DataDescription
    ) -> Columns:
        """The columns that the contract checks, ``(n,)`` each.

        Two are required: ``blank`` (bool) and ``fingerprint`` (uint64). Fingerprints
        of similar items differ in few bits. A medium with its own `fingerprints` leaves
        that column out.
        """

    def fingerprints(
        self, payload: Payload, data: DataDescription
    ) -> npt.NDArray[np.uint64]:
        """Those of items ``(n, *shape)``, ``(n,)``; see `columns`.

        A request log calls `columns`, and needs none of them.
        """
        return self.columns(payload, [""] * len(payload), data)["fingerprint"]

    def slice_columns(self, payload: Payload) -> Columns:
        """Further columns of names, ``(n,)`` each, by which weak slices are made."""
        return {}

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """The default contract on `columns`."""
        return []

    def alike(self, first: Payload, second: Payload, data: DataDescription) -> Flags:
        """Which pairs ``(n, *shape)`` with near fingerprints are copies."""
        axes = tuple(range(1, first.ndim))
        return np.asarray((first == second).all(axis=axes))

    def raw(self, payload: Payload) -> Payload:
        """Items as a saved model takes them as input."""
        return payload

    def as_stored(self, items: Payload, data: DataDescription) -> Payload:
        """The reverse of `raw`: what `check_input` returns, as in a snapshot."""
        return items.astype(self.DTYPE, copy=False)

    def variants(self, payload: Payload) -> list[Payload]:
        """All types of input that a saved model takes."""
        return [self.raw(payload)]

    @abstractmethod
    def check_input(self, x: Any, data: DataDescription) -> Payload:
        """A user's input as a saved model takes it; InputError for any other."""

    @abstractmethod
    def preprocessing(self, data: DataDescription) -> Any:
        """The default pre-processing: a Keras model from raw items."""

    @abstractmethod
    def as_html(self, sample: Payload, data: DataDescription) -> str:
        """One item as escaped HTML, to be seen, read or heard."""

    def draw_sample(self, axes: Any, sample: Payload, data: DataDescription) -> None:
        """Draw one item on matplotlib axes, where there are `SAMPLE_INCHES`."""
        raise NotImplementedError

    def pieces(self, item: Payload, data: DataDescription) -> Pieces:
        """The pieces of one item of ``shape``."""
        raise NotImplementedError

    def draw_map(
        self, axes: Any, item: Payload, values: Payload, data: DataDescription
    ) -> None:
        """Draw an item and a map over it on matplotlib axes.

        Args:
            axes: of matplotlib.
            item: of ``shape``.
            values: of the pieces, ``(rows, columns)``. What speaks for the answer is
                positive, and drawn red; what speaks against it is negative, and blue.
            data: of the snapshot.
        """
        raise NotImplementedError


def digests(payload: Payload, module: Medium) -> bytes:
    """The sha256 of each decoded item ``(n, *shape)``, ``32 * n`` bytes.

    Padding is left out, so that an item's digest does not depend on the longest item.
    """
    width = math.prod(payload.shape[1:]) * payload.itemsize
    items = np.ascontiguousarray(payload).reshape(-1).view(np.uint8)
    ends = np.full(len(payload), width)
    if module.PADDED:
        ends = lengths(items.reshape(-1, width))
    flat = items.data
    spans = zip(range(0, len(flat), width), ends.tolist(), strict=True)
    return b"".join(
        [hashlib.sha256(flat[start : start + end]).digest() for start, end in spans]
    )
