"""The reference profile of a version: what its windows are compared with.

It is computed from held-out rows, which the version did not learn from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.media.forms import Columns, Payload
from headrace.records import DataDescription, Record
from headrace.tasks.forms import Outputs, Targets

REFERENCE_ROWS = 2000
_Digests = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows of a snapshot that a version did not learn from, without quarantined ones.

    Attributes:
        items: ``(n, *shape)``, of the medium's type.
        targets: ``(n, ...)``, as the task encodes labels.
        digests: sha256 of the items, hex, ``(n,)``.
        is_val: bool ``(n,)``, rows of val; the others are of test. The temperature is
            fitted on those of val where there are enough, else on all.
    """

    items: Payload
    targets: Targets
    digests: _Digests
    is_val: npt.NDArray[np.bool_]


class Rung(Record):
    """One level of one family of the robustness ladder.

    Attributes:
        family, level: such as noise and 10, see the medium's ``LADDER``.
        distance: of the answers from the reference, 0..1, see `estimate.distance`.
        columns: the Kolmogorov-Smirnov distance of each column, 0..1.
        score: the mean true score, such as the accuracy.
        estimated: the estimate without labels; None where the task has none.
    """

    family: str
    level: float
    distance: float
    columns: dict[str, float]
    score: float
    estimated: float | None


class ProfileFacts(Record):
    """The numbers of a profile; its arrays are beside them.

    Attributes:
        format: of the file.
        model_digest: sha256 of the version's model, or another name of the caller's.
        description: of the data.
        rows: of the reference.
        temperature: that the estimate divides logits by; None where the task has none.
        score, low, high: the mean true score of the reference, and its interval.
        estimated: the estimate without labels for the reference itself.
        rungs: of the ladder; empty where the medium has none.
    """

    format: int = 1
    model_digest: str
    description: DataDescription
    rows: int
    temperature: float | None
    score: float
    low: float
    high: float
    estimated: float | None
    rungs: tuple[Rung, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """A reference profile.

    Attributes:
        facts: its numbers.
        columns: of the reference items by name, ``(n,)``.
        outputs: float32 ``(n, ...)``.
        scores: true score of each row, float64 ``(n,)``.
        items: sha256 of each item, hex, ``(n,)``.
    """

    facts: ProfileFacts
    columns: Columns
    outputs: Outputs
    scores: npt.NDArray[np.float64]
    items: _Digests

    def to_bytes(self) -> bytes:
        """The profile as one npz file without pickled objects."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Read a profile; the caller has checked the digest.

        Raises:
            IntegrityError: it is no profile of this format.
        """
        raise NotImplementedError


def make_profile(
    answer: Callable[[Payload], Outputs],
    held_out: HeldOut,
    data: DataDescription,
    model_digest: str,
    *,
    seed: int = 0,
) -> Profile:
    """Compute the profile of a version.

    Args:
        answer: the version's outputs ``(n, ...)`` to raw items, which are those of
            `Medium.raw`. It is called once for the reference and once for each rung.
        held_out: at most `REFERENCE_ROWS` of its rows are used, those of test first.
        data: of the version's snapshot.
        model_digest: recorded.
        seed: of the choice of rows and of the ladder.

    Raises:
        InputError: there are no rows.
    """
    raise NotImplementedError
