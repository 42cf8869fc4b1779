"""Whether the answers of a version may be explained: the verdicts of its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from headrace.explanations import METHODS, verdict_of
from headrace.records import Record
from headrace.state.ledger import Ledger

if TYPE_CHECKING:
    from headrace.settings import Settings


class Sanity(Record):
    """The verdict of the sanity check on a method, for a version."""

    status: Literal["passed", "failed", "unchecked"]
    reason: str


def sanity_of(model: str, version: int | None, settings: Settings) -> dict[str, Sanity]:
    """The verdict on each method, by the last evidence that has measurements.

    Args:
        model: its name.
        version: None: it is not registered, and nothing was checked.
        settings: where the ledger is.

    Raises:
        DependencyError: the ledger does not answer.
    """
    metrics: Mapping[str, float | None] = {}
    if version is not None:
        every = Ledger(settings.database_url).evidence_of(model, version)
        checked = [e for e in every if "occlusion_random_weights" in e.metrics]
        metrics = checked[-1].metrics if checked else {}
    verdicts = {method: verdict_of(metrics, method) for method in METHODS}
    return {
        method: Sanity(status=verdict.status, reason=verdict.reason)
        for method, verdict in verdicts.items()
    }
