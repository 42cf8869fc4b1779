"""Media: all that differs between images, texts and sounds, a package each.

A package is found by its name and provides what `Medium` lists. `forms` has the types
that all of them use.
"""

from __future__ import annotations

import importlib
import runpy
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from headrace import extensions
from headrace.errors import SpecError
from headrace.spec.tables import fields_of, media_fields

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from headrace.media.chunks import Chunk
    from headrace.media.forms import (
        Columns,
        Decoded,
        Expectation,
        Fitted,
        Flags,
        Payload,
        Shape,
        Sizes,
    )
    from headrace.records import DataDescription, Form
    from headrace.spec import DataSpec


class Medium(Protocol):
    """The interface of a medium; `headrace.media.optional` has what some provide more.

    Attributes:
        DTYPE: the type of an item's values in a snapshot.
        PADDED: whether zeros at an item's end are padding.
        CACHED: whether features are computed once before training.
        DUPLICATES: ``set aside``, or ``keep`` where equal items of one split are
            natural.
        NEAR_LIMIT: share of test items that may have a near copy in train.
        SCALE_COLUMNS: the columns whose means must have one scale in train and test.
        RELATIVE_COLUMNS: the columns in which an item's value depends on other items or
            on its label; not needed where there are none.
        DEFAULT_BUILDER: the family in ``headrace.models`` of pipelines that name none.
        BEST_BUILDER: the family that was measured best, which `headrace new` names.
        UNITS: of an item's shape, in words.
        AUGMENT: the fields of ``[training.augment]`` in the same form, where a medium
            has a module `augmentation`; see `Augmentation`.
        AUGMENTED: the names of those, if any, that made no family worse where there are
            few items with labels; `headrace new` writes them.
        FIELDS: the fields of ``[data]`` that only this medium has: the type of each, as
            Python writes it, and the arguments of pydantic's ``Field``. A literal,
            since it is read without an import. With ``"omitted": True``, digests of
            pipelines that do not set a field do not depend on it.
        IS_TEXT: whether an item is text. A text may be a table's cell, and has an
            encoding; files of other media are opened as they are.
        SUFFIXES: the suffixes of its files.
        MAGICS: the first bytes of its files; empty where they have no typical ones.
        MEDIA_TYPES: the media types of its files; ``image/*`` for all that begin so.
        EXAMPLE: what an item is called, and the suffix of a typical file.
        SOURCES: what to give as data, for messages.
        ADVICE: what to do about items that cannot be used, by the check of their
            `Problem`; not needed where there is none.
        SAMPLE_INCHES: width and height of the picture that `draw_sample` draws; None
            where reports show items in tables.
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
    MEDIA_TYPES: tuple[str, ...]
    EXAMPLE: tuple[str, str]
    SOURCES: str
    SAMPLE_INCHES: tuple[float, float] | None

    def form_of(self, data: DataSpec) -> Form:
        """The form that a pipeline declares; SpecError for any other."""

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

    def sizes(self, files: Sequence[bytes], form: Form) -> Sizes:
        """The sizes of files and of their items, decoded, by the files' headers."""

    def decode_files(self, files: Sequence[bytes], form: Form) -> Decoded:
        """Decode files, or none; one that cannot be decoded becomes a `Problem`."""

    def suggest(self, chunks: Iterable[Chunk]) -> dict[str, Any]:
        """Fields of ``[data]`` that suit the undecoded items, for `headrace new`."""

    def usual_shape(self, shapes: Counter[Shape], form: Form) -> Shape:
        """The one shape for items of these shapes."""

    def fit(self, payload: Payload, shape: Shape) -> Fitted:
        """Bring items of one shape to another."""

    def as_column(self, payload: Payload) -> pa.Array:
        """Items ``(n, *shape)`` as a column of a snapshot."""

    def from_column(self, column: pa.Array, shape: Shape) -> Payload:
        """The reverse of `as_column`."""

    def columns(
        self, payload: Payload, labels: Sequence[str], data: DataDescription
    ) -> Columns:
        """The columns that the contract checks, ``(n,)`` each.

        Two are required: ``blank`` (bool) and ``fingerprint`` (uint64). Fingerprints
        of similar items differ in few bits. A medium with a function of its own for
        them (`optional.TakesFingerprints`) leaves that column out.
        """

    def expectations(self, data: DataDescription) -> list[Expectation]:
        """The default contract on those columns."""

    def alike(self, first: Payload, second: Payload, data: DataDescription) -> Flags:
        """Which pairs ``(n, *shape)`` with near fingerprints are copies."""

    def raw(self, payload: Payload) -> Payload:
        """Items as a saved model takes them as input."""

    def as_stored(self, items: Payload, data: DataDescription) -> Payload:
        """The reverse of `raw`: what `check_input` returns, as in a snapshot."""

    def variants(self, payload: Payload) -> list[Payload]:
        """All types of input that a saved model takes."""

    def check_input(self, x: Any, data: DataDescription) -> Payload:
        """A user's input as a saved model takes it; InputError for any other."""

    def preprocessing(self, data: DataDescription) -> Any:
        """The default pre-processing: a Keras model from raw items."""

    def as_html(self, sample: Payload, data: DataDescription) -> str:
        """One item as escaped HTML, to be seen, read or heard."""

    def draw_sample(self, axes: Any, sample: Payload, data: DataDescription) -> None:
        """Draw one item on matplotlib axes."""


class Ladder(Protocol):
    """The robustness ladder: a module ``ladder`` in a medium's package, or none.

    It changes items in ways that happen in use, each in several degrees.

    Attributes:
        UNITS: what the levels of each family are, by its name.
        LEVELS: those of the families whose levels are the same for all data.
    """

    UNITS: dict[str, str]
    LEVELS: dict[str, tuple[float, ...]]

    def rungs(self, data: DataDescription) -> list[tuple[str, float]]:
        """Families and levels that suit the data."""

    def shifted(
        self,
        items: Payload,
        family: str,
        level: float,
        data: DataDescription,
        random: np.random.Generator,
    ) -> Payload:
        """Items ``(n, *shape)`` as in a snapshot, after one shift.

        Raises:
            ValueError: there is no such family.
        """


class Augmentation(Protocol):
    """Varies items in training: a module ``augmentation`` in a medium's package.

    The fields are the medium's constant ``AUGMENT``. The training itself knows
    ``mixup``, which mixes rows and their targets, where a medium lists it.
    """

    def augment(self, items: Any, keys: Any, fields: Mapping[str, Any]) -> Any:
        """Items of a batch, changed at random, by operations that XLA compiles.

        Args:
            items: what the network takes, a tensor ``(batch, ...)``; float32 values
                before the pre-processing, of a medium that is not `Medium.CACHED`.
            keys: what the random numbers of each row follow from, int64 ``(batch,)``.
            fields: those of ``[training.augment]`` that are set.

        Returns:
            items of the same shape and type.
        """


def augmentation(name: str) -> Augmentation:
    """The augmentation of a medium that has ``AUGMENT``."""
    package = extensions.modules("media")[name]
    return cast(Augmentation, importlib.import_module(f"{package}.augmentation"))


def ladder(name: str) -> Ladder | None:
    """The robustness ladder of a medium; None where it has none."""
    package = extensions.modules("media")[name]
    if not hasattr(medium(name), "__path__"):
        return None
    try:
        return cast(Ladder, importlib.import_module(f"{package}.ladder"))
    except ModuleNotFoundError as error:
        if error.name != f"{package}.ladder":
            raise
        return None


def medium(name: str) -> Medium:
    """The package of a medium, for example ``headrace.media.image``."""
    return cast(Medium, extensions.load("media", name))


def form_of(data: DataSpec, name: str) -> Form:
    """The form that a pipeline of a medium declares; see `Medium.form_of`.

    Raises:
        SpecError: it is no form of the medium, or a field of another one is set.
    """
    for field in media_fields():
        value = getattr(data, field)
        if value not in (None, ()) and field not in fields_of(name):
            problem = f"{value!r}, which is not a field of the medium {name}"
            raise SpecError(
                f"data.{field} is {problem}.",
                "Leave it out, or set the medium that it belongs to.",
            )
    return medium(name).form_of(data)


def check_form(data: DataSpec, name: str) -> None:
    """Refuse a form that `form_of` refuses, without loading libraries for data.

    That of a medium without a module ``form`` is refused where its data is read.

    Raises:
        SpecError: it is no form of the medium.
    """
    package = extensions.path_of(extensions.modules("media")[name])
    path = package.with_name("form.py")
    if package.name == "__init__.py" and path.is_file():
        runpy.run_path(str(path))["form_of"](data)


def advice(name: str, checks: Mapping[str, int]) -> str:
    """What a medium advises about the check that most items fail; may be empty.

    Args:
        name: of the medium.
        checks: the number of items that fail each.
    """
    most = max(checks, key=checks.__getitem__, default="")
    return str(getattr(medium(name), "ADVICE", {}).get(most, ""))


def preprocessing(data: DataDescription) -> Any:
    """The medium's default pre-processing: a Keras model from raw items."""
    return medium(data.medium).preprocessing(data)
