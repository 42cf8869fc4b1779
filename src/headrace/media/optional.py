"""What a medium may provide beside all that `headrace.media.Medium` lists.

A medium provides the functions of a protocol here, or none of them, and
``isinstance(medium(name), CutsItems)`` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from headrace.media.forms import (
        Columns,
        Expectation,
        Passages,
        Payload,
        Problem,
    )
    from headrace.media.pieces import Pieces
    from headrace.records import DataDescription, Form


@runtime_checkable
class CutsItems(Protocol):
    """Cuts an item that is longer than a model's shape into parts."""

    def long_form(self, data: DataDescription) -> Form:
        """The form of items that `parts` takes, and one value more."""

    def parts(self, item: Payload, data: DataDescription) -> Payload | Problem:
        """An item in parts ``(parts, *shape)``; or why it is not taken."""


@runtime_checkable
class TakesObjects(Protocol):
    """Decodes what a program holds in memory, as it decodes files."""

    def decode_object(self, item: Any, form: Form) -> Payload | Problem:
        """One item of any kind that the medium takes beside the bytes of a file."""


@runtime_checkable
class JoinsClips(Protocol):
    """Joins short items to longer ones, for recipes."""

    def decode_clips(self, files: Sequence[bytes], rate: int) -> list[Any]:
        """Items without final zeros; `Problem` for what cannot be decoded."""

    def join(
        self,
        clips: Sequence[Payload],
        rate: int,
        gap_seconds: tuple[float, float],
        noise_db: tuple[float, float] | None,
        random: np.random.Generator,
    ) -> Payload:
        """One item of several, with pauses and noise."""


@runtime_checkable
class KnowsPassages(Protocol):
    """Finds parts that items have in common, such as lines."""

    def passages(self, payload: Payload) -> Passages:
        """The passages of items ``(n, *shape)``."""


@runtime_checkable
class NamesSlices(Protocol):
    """Has further columns by which weak slices are made."""

    def slice_columns(self, payload: Payload) -> Columns:
        """Columns of names, ``(n,)`` each, of items ``(n, *shape)``."""


@runtime_checkable
class TakesFingerprints(Protocol):
    """Computes fingerprints, so that `Medium.columns` need not, which a log calls."""

    def fingerprints(
        self, payload: Payload, data: DataDescription
    ) -> npt.NDArray[np.uint64]:
        """Those of items ``(n, *shape)``, ``(n,)``; see `Medium.columns`."""


@runtime_checkable
class MeasuresDifferences(Protocol):
    """Says how far near items differ, beside whether they are `Medium.alike`."""

    def difference(self, first: Payload, second: Payload) -> npt.NDArray[np.floating]:
        """The differences of pairs; those of copies are at most 1, ``(n,)``."""


@runtime_checkable
class MeasuresSets(Protocol):
    """Measures a sample of train and test as a whole."""

    def set_columns(
        self,
        payload: Payload,
        labels: Sequence[str],
        splits: Sequence[str],
        data: DataDescription,
    ) -> Columns:
        """The measurements by their names, ``(1,)`` each."""

    def set_expectations(self, data: DataDescription) -> list[Expectation]:
        """What is expected of them."""


@runtime_checkable
class FindsMarks(Protocol):
    """Finds marks that give a class away, and covers them."""

    def marks(self, payload: Payload, labels: Payload) -> dict[Any, Payload]:
        """What marks the items of a class, by its label, in a form of the medium's own.

        Args:
            payload: items ``(n, *shape)``.
            labels: ``(n,)``.
        """

    def cover(self, payload: Payload, mark: Payload, others: Payload) -> Payload:
        """Items ``(n, *shape)`` with what as many others have in a mark's place."""


@runtime_checkable
class DividesItems(Protocol):
    """Divides an item into pieces, to explain an answer to it."""

    def pieces(self, item: Payload, data: DataDescription) -> Pieces:
        """The pieces of one item of ``shape``."""

    def absent(self, item: Payload, data: DataDescription) -> Payload:
        """The item with everything removed, ``shape``."""

    def draw_map(
        self, axes: Any, item: Payload, values: Payload, data: DataDescription
    ) -> None:
        """Draw an item and a map over it on matplotlib axes.

        Args:
            axes: of matplotlib.
            item: of ``shape``.
            values: ``(rows, columns)``: of the pieces, or of the places of an image.
                What speaks for the answer is positive, and drawn red; what speaks
                against it is negative, and drawn blue.
            data: of the snapshot.
        """
