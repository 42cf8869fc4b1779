"""The reference profile of a version: what its windows are compared with.

It is computed from held-out rows, which the version did not learn from.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from headrace.errors import InputError, IntegrityError
from headrace.media import item_columns
from headrace.media.forms import Columns, Payload
from headrace.records import DataDescription, Record
from headrace.tasks import asked, task
from headrace.tasks.forms import Outputs, Targets

FORMAT = 2
REFERENCE_ROWS = 2000
CONFIDENCE = 0.95  # of the interval of the score
FEWEST_OF_VAL = 50  # to fit a temperature on; see `judge.CALIBRATION_ROWS`
_Digests = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows of a snapshot that a version did not learn from, without quarantined ones.

    Attributes:
        items: ``(n, *shape)``, of the medium's type.
        targets: ``(n, ...)``, as the task encodes labels.
        digests: sha256 of the items, hex, ``(n,)``.
        is_val: bool ``(n,)``, rows of val; the others are of test.
    """

    items: Payload
    targets: Targets
    digests: _Digests
    is_val: npt.NDArray[np.bool_]

    def first(self, order: npt.NDArray[np.intp]) -> HeldOut:
        """The first `REFERENCE_ROWS` of these rows, in their order here."""
        rows = np.sort(order[:REFERENCE_ROWS])
        return HeldOut(
            self.items[rows], self.targets[rows], self.digests[rows], self.is_val[rows]
        )


class ProfileFacts(Record):
    """The numbers of a profile; its arrays are beside them.

    Attributes:
        format: of the file.
        model_digest: sha256 of the version's model, or another name of the caller's.
        description: of the data.
        rows: of the reference.
        temperature: that the estimate divides logits by; None where the task has none.
        score, low, high: the mean true score of the reference, and its interval.
    """

    format: int = FORMAT
    model_digest: str
    description: DataDescription
    rows: int
    temperature: float | None
    score: float
    low: float
    high: float


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
        file = io.BytesIO()
        facts = np.frombuffer(self.facts.model_dump_json().encode(), np.uint8)
        arrays = {f"column {name}": values for name, values in self.columns.items()}
        arrays |= {"outputs": self.outputs, "scores": self.scores}
        items = np.array(self.items.tolist(), "S64")
        np.savez_compressed(file, facts=facts, items=items, **arrays)  # type: ignore[arg-type]
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Read a profile.

        Raises:
            IntegrityError: it is no profile of this format.
        """
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            facts = ProfileFacts.model_validate_json(arrays["facts"].tobytes())
            columns = {
                name.removeprefix("column "): values
                for name, values in arrays.items()
                if name.startswith("column ")
            }
            items = arrays["items"].astype(str).astype(object)
            profile = cls(facts, columns, arrays["outputs"], arrays["scores"], items)
        except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise IntegrityError(
                f"A reference profile cannot be read: {error}.",
                "Delete it; it is computed again.",
            ) from None
        lengths = {len(a) for n, a in arrays.items() if n != "facts"}
        if lengths != {facts.rows} or facts.format != FORMAT:
            raise IntegrityError(
                f"A reference profile of format {facts.format} with {facts.rows:,} "
                f"rows has arrays of {sorted(lengths)} rows; format {FORMAT} was "
                "expected.",
                "Delete it; it is computed again.",
            )
        return profile


def make_profile(
    answer: Callable[[Payload], Outputs],
    held_out: HeldOut,
    data: DataDescription,
    model_digest: str,
    seed: int = 0,
) -> Profile:
    """Compute the profile of a version.

    Args:
        answer: the version's outputs ``(n, ...)`` to raw items, which are those of
            `Medium.raw`. It is called once for the reference and once for rows of val.
        held_out: at most `REFERENCE_ROWS` of its items are the reference, each once,
            those of test first. The temperature is fitted on as many of val; on the
            reference where val has fewer than `FEWEST_OF_VAL`.
        data: of the version's snapshot.
        model_digest: recorded.
        seed: of the choice of rows.

    Raises:
        InputError: there are no rows.
    """
    held_out, of_val = _chosen(held_out, seed)
    learned, raw = task(data.task), asked(data).raw
    judge, name = learned.judge, learned.score
    outputs = np.asarray(answer(raw(held_out.items)), np.float32)
    judged = judge.judged(outputs, held_out.targets, data)
    summary = judge.summary(judged.scores, CONFIDENCE, judged.weights)
    fitted_on = outputs, held_out.targets
    if len(of_val.items) >= FEWEST_OF_VAL:
        of_val_outputs = np.asarray(answer(raw(of_val.items)), np.float32)
        fitted_on = of_val_outputs, of_val.targets
    facts = ProfileFacts(
        model_digest=model_digest,
        description=data,
        rows=len(outputs),
        temperature=judge.temperature(*fitted_on),
        score=summary[name],
        low=summary[f"{name}_low"],
        high=summary[f"{name}_high"],
    )
    columns = item_columns(held_out.items, data)
    return Profile(facts, columns, outputs, judged.per_weight, held_out.digests)


def _chosen(rows: HeldOut, seed: int) -> tuple[HeldOut, HeldOut]:
    """At most `REFERENCE_ROWS` items, each once, those of test first; and of val."""
    if not len(rows.items):
        raise InputError(
            "There are no held-out rows to profile the version with.",
            "Give the rows of test and val that are not quarantined.",
        )
    first = np.unique(rows.digests.astype(str), return_index=True)[1]
    order = np.random.default_rng(seed).permutation(first)
    by_split = order[np.argsort(rows.is_val[order], kind="stable")]
    of_val = order[rows.is_val[order]]
    return rows.first(by_split), rows.first(of_val)
