"""The mean score that a version must keep, from the law that it was promoted under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace.monitoring.profiles import ProfileFacts
from headrace.records import DataDescription
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger import Evidence, Version
from headrace.tasks import task


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound on the mean score of a version.

    Attributes:
        value: the least mean score, or the greatest where lower is better.
        origin: where it is from, such as ``gate accuracy of version 3``.
    """

    value: float
    origin: str


def bound_of(version: Version, facts: ProfileFacts, settings: Settings) -> Bound:
    """The bound of a version.

    It is that of the strictest gate on the mean score in the law that the version was
    last judged by. A gate on a metric that is proportional to the mean score, such as
    ``relative_error``, counts with the factor of its evaluation. Without such a gate it
    is the end of the interval of the score on the reference.

    Args:
        version: of the ledger.
        facts: of its profile.
        settings: where the ledger is.
    """
    ledger = Home(settings).ledger
    evidence = ledger.standing_evidence(version.model, version.version)
    better = task(facts.description.task).higher_is_better
    gates = _of_gates(evidence, facts.description) if evidence else []
    if gates:
        choose = max if better else min
        return choose(gates, key=lambda bound: bound.value)
    if better:
        return Bound(
            facts.low, "the lower end of the score's interval on held-out rows"
        )
    return Bound(facts.high, "the upper end of the score's interval on held-out rows")


def _of_gates(evidence: Evidence, data: DataDescription) -> list[Bound]:
    learned = task(data.task)
    better, factors = learned.higher_is_better, learned.mean_scores
    law: Mapping[str, Any] = evidence.law.get("committed") or {}
    bounds = []
    for gate in law.get("gates", ()):
        metric, threshold = gate.get("metric"), gate.get("threshold")
        is_bound = gate.get("direction") == ("min" if better else "max")
        if threshold is None or gate.get("kind") or not is_bound:
            continue
        if metric not in factors:
            continue
        factor = _factor(evidence, metric, factors[metric])
        if factor is not None:
            origin = f"the gate {gate['name']} of version {evidence.version}"
            bounds.append(Bound(float(threshold) * factor, origin))
    return bounds


def _factor(evidence: Evidence, metric: str, mean: str) -> float | None:
    """What the metric is multiplied by to give the mean score, on the test split."""
    if metric == mean:
        return 1.0
    value, score = evidence.metrics.get(metric), evidence.metrics.get(mean)
    return score / value if value and score is not None else None
