"""The differences between two versions of a model: their ingredients and their metrics.

Both are read from their records: the ledger's rows and evidence, and the ingredients
that each training has recorded in MLflow. Nothing is trained or evaluated.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

from headrace.pipeline.files import fields_of
from headrace.records import Record
from headrace.stages import ingredients
from headrace.stages.ingredients import Restored
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.tracking import Tracking

_DIGEST_LENGTH = 12


class Differing(Record):
    """One fact in which two versions differ.

    Attributes:
        kind: the pipeline file, the data, the code, the installed distributions,
            how it was computed, or who made it.
        name: of the field, split, module, distribution or fact.
        values: of the first and of the second version; empty if it has none.
    """

    kind: Literal["spec", "data", "code", "lock", "device", "who"]
    name: str
    values: tuple[str, str]


class ModelComparison(Record):
    """Two versions of one model.

    Attributes:
        versions: their numbers.
        metrics: by name, the value of each; None if it alone has none.
        failed_gates: of each, by its standing evidence.
        notice: why some differences are unknown; empty if none are.
    """

    model: str
    versions: tuple[int, int]
    differences: tuple[Differing, ...]
    metrics: Mapping[str, tuple[float | None, float | None]]
    failed_gates: tuple[tuple[str, ...], tuple[str, ...]]
    notice: str = ""


def compare(first: Version, second: Version, home: Home) -> ModelComparison:
    """Compare two versions of one model.

    Raises:
        IntegrityError: a training's record is gone or changed.
        DependencyError: the ledger or MLflow does not answer.
    """
    ledger, tracking = home.ledger, home.tracking
    both = (first, second)
    evidence = [ledger.standing_evidence(v.model, v.version) for v in both]
    metrics = [dict(proof.metrics) if proof else {} for proof in evidence]
    failed = [
        tuple(gate.name for gate in (proof.gates if proof else ()) if not gate.passed)
        for proof in evidence
    ]
    makers = ({"created by": v.created_by, "created": v.created} for v in both)
    differences = [*_differ("who", *makers)]
    notice = ""
    match [_restored(version, tracking) for version in both]:
        case [Restored() as one, Restored() as other]:
            differences += _made_of(one, other)
        case _:
            notice = (
                "The run of one of them has no record of its ingredients in MLflow, so "
                "only the metrics and the data are compared."
            )
            digests = ({"snapshot": v.snapshot_digest[:_DIGEST_LENGTH]} for v in both)
            differences += _differ("data", *digests)
    return ModelComparison(
        model=first.model,
        versions=(first.version, second.version),
        differences=tuple(differences),
        metrics=side_by_side(*metrics),
        failed_gates=(failed[0], failed[1]),
        notice=notice,
    )


def side_by_side(
    first: Mapping[str, float | None], second: Mapping[str, float | None]
) -> dict[str, tuple[float | None, float | None]]:
    """The metrics that at least one of two versions has, by name."""
    pairs = {n: (first.get(n), second.get(n)) for n in sorted({*first, *second})}
    return {name: pair for name, pair in pairs.items() if pair != (None, None)}


def _restored(version: Version, tracking: Tracking) -> Restored | None:
    """The record of a version's training; None if it has none."""
    digest = tracking.find_run(version.run_id).tags.get(ingredients.TAG)
    if digest is None:
        return None
    read = partial(tracking.run_file, version.run_id)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        return ingredients.restore(Path(place), digest, read)


def _made_of(first: Restored, second: Restored) -> Iterator[Differing]:
    yield from _differ("spec", fields_of(first.spec), fields_of(second.spec))
    yield from _differ("data", _data(first), _data(second))
    for one in ingredients.differences(first.ingredients, second.ingredients):
        length = _DIGEST_LENGTH if one.kind == "code" else None
        values = (one.then[:length], one.now[:length])
        yield Differing(kind=one.kind, name=one.name, values=values)


def _data(restored: Restored) -> dict[str, str]:
    return {
        "snapshot": restored.snapshot.digest[:_DIGEST_LENGTH],
        **{f"rows of {k}": f"{v:,}" for k, v in restored.contract.rows.items()},
        "quarantined": f"{restored.contract.quarantined:,}",
    }


def _differ(
    kind: Any, first: Mapping[str, str], second: Mapping[str, str]
) -> Iterator[Differing]:
    for name in {**first, **second}:
        values = (first.get(name, ""), second.get(name, ""))
        if values[0] != values[1]:
            yield Differing(kind=kind, name=name, values=values)
