"""Whether the answers of a version may be explained: the verdicts of its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.explanations import METHODS, Verdict, verdict_of
from headrace.state.ledger import Ledger

if TYPE_CHECKING:
    from headrace.settings import Settings


def sanity_of(
    model: str, version: int | None, settings: Settings
) -> dict[str, Verdict]:
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
    return {method: verdict_of(metrics, method) for method in METHODS}
