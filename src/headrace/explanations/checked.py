"""What the last check of a version's explanations has measured, in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from headrace.records import Record
from headrace.state.ledger.records import utc_now

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

MEASURED = "occlusion_random_weights"  # among the metrics of each check of maps


class MapCheck(Record):
    """What a check of explanations has measured, after the evaluation of a version.

    Attributes:
        metrics: that say whether its maps are shown.
        reason: why nothing could be measured; empty if it was.
        model_digest: sha256 of the model file that was checked.
        when: ISO 8601, UTC.
    """

    model: str
    version: int
    metrics: Mapping[str, float | None] = {}
    reason: str = ""
    snapshot_digest: str
    model_digest: str
    who: str = ""
    when: str = Field(default_factory=utc_now)


def find_check(ledger: Ledger, model: str, version: int) -> MapCheck | None:
    """The last check of a version's explanations; None if there was none.

    One that was made before a verdict is evidence, whose metrics are all of those of
    the evaluation.
    """
    if said := ledger.facts.recorded(_name_of(model, version)):
        return MapCheck.model_validate_json(said)
    for evidence in reversed(ledger.evidence_of(model, version)):
        if MEASURED in evidence.metrics:
            names = {"model", "version", "metrics", "snapshot_digest", "model_digest"}
            own = evidence.model_dump(include=names)
            return MapCheck(**own, when=evidence.created)
    return None


def record_check(ledger: Ledger, check: MapCheck) -> None:
    """Record what a check has measured, in place of an earlier one."""
    name = _name_of(check.model, check.version)
    ledger.facts.record({name: check.model_dump_json()}, check.who)


def _name_of(model: str, version: int) -> str:
    return f"maps of {model}/{version}"
