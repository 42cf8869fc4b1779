"""What differs between two versions of a model: what they are made of, and how they do.

Both are read from their records: the ledger's rows and evidence, and the ingredients
that each training left in MLflow. Nothing is trained or evaluated.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from headrace.records import Record
from headrace.spec.files import fields_of
from headrace.stages import ingredients
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import Tracking

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.stages.ingredients import Restored

_DIGEST_LENGTH = 12


class Differing(Record):
    """One fact that is not the same of both versions.

    Attributes:
        kind: of the pipeline file, the data, the code, the installed distributions,
            how it was computed, or who made it.
        name: of the field, split, module, distribution or fact.
        values: of the first and of the second version; empty where there is none.
    """

    kind: Literal["spec", "data", "code", "lock", "device", "who"]
    name: str
    values: tuple[str, str]


class Comparison(Record):
    """Two versions of one model.

    Attributes:
        versions: their numbers.
        metrics: by name, the value of each; None where it has none.
        failed_gates: of each, by its standing evidence.
        notice: why part of what differs is not known; empty where all is.
    """

    model: str
    versions: tuple[int, int]
    differences: tuple[Differing, ...]
    metrics: Mapping[str, tuple[float | None, float | None]]
    failed_gates: tuple[tuple[str, ...], tuple[str, ...]]
    notice: str = ""


def compare(first: Version, second: Version, settings: Settings) -> Comparison:
    """Compare two versions of one model.

    Raises:
        IntegrityError: a training's record is gone or changed.
        DependencyError: the ledger or MLflow does not answer.
    """
    ledger, tracking = Ledger(settings.database_url), Tracking(settings)
    evidence = [ledger.standing_evidence(v.model, v.version) for v in (first, second)]
    metrics = [dict(proof.metrics) if proof else {} for proof in evidence]
    differences = [*_differ("who", _provenance(first), _provenance(second))]
    notice = ""
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        restored = [
            _restored(version, tracking, Path(place) / str(number))
            for number, version in enumerate((first, second))
        ]
    match restored:
        case [ingredients.Restored() as one, ingredients.Restored() as other]:
            differences += _made_of(one, other)
        case _:
            notice = (
                "An older release trained one of them and kept no record of its "
                "ingredients, so only the metrics and the data are compared."
            )
            differences += _differ("data", _digest(first), _digest(second))
    return Comparison(
        model=first.model,
        versions=(first.version, second.version),
        differences=tuple(differences),
        metrics={
            name: (metrics[0].get(name), metrics[1].get(name))
            for name in sorted({*metrics[0], *metrics[1]})
        },
        failed_gates=(_failed(evidence[0]), _failed(evidence[1])),
        notice=notice,
    )


def _restored(version: Version, tracking: Tracking, place: Path) -> Restored | None:
    """The record of a version's training; None where it left none."""
    digest = tracking.find_run(version.run_id).tags.get(ingredients.TAG)
    if digest is None:
        return None
    place.mkdir()
    return ingredients.restore(
        place, digest, lambda path: tracking.run_file(version.run_id, path)
    )


def _made_of(first: Restored, second: Restored) -> Iterator[Differing]:
    yield from _differ("spec", _fields(first), _fields(second))
    yield from _differ("data", _data(first), _data(second))
    for found in ingredients.differences(first.ingredients, second.ingredients):
        values = (found.then, found.now)
        if found.kind == "code":
            values = (found.then[:_DIGEST_LENGTH], found.now[:_DIGEST_LENGTH])
        yield Differing(kind=found.kind, name=found.name, values=values)


def _fields(restored: Restored) -> dict[str, str]:
    return fields_of(restored.spec)


def _data(restored: Restored) -> dict[str, str]:
    rows = {f"rows of {k}": f"{v:,}" for k, v in restored.contract.rows.items()}
    return {
        "snapshot": restored.snapshot.digest[:_DIGEST_LENGTH],
        **rows,
        "quarantined": f"{restored.contract.quarantined:,}",
    }


def _digest(version: Version) -> dict[str, str]:
    return {"snapshot": version.snapshot_digest[:_DIGEST_LENGTH]}


def _provenance(version: Version) -> dict[str, str]:
    return {"created by": version.created_by, "created": version.created}


def _failed(evidence: Any) -> tuple[str, ...]:
    gates = evidence.gates if evidence else ()
    return tuple(gate.name for gate in gates if not gate.passed)


def _differ(
    kind: Any, first: Mapping[str, str], second: Mapping[str, str]
) -> Iterator[Differing]:
    for name in [*first, *(name for name in second if name not in first)]:
        values = (first.get(name, ""), second.get(name, ""))
        if values[0] != values[1]:
            yield Differing(kind=kind, name=name, values=values)
