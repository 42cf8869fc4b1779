"""Whether the explanations of a version are shown: what its evaluation has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from headrace.records import Record

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

RANDOM_WEIGHTS = "occlusion_random_weights"  # of every evaluation that has checked them
DELETED, DELETED_AT_RANDOM = "occlusion_top_fifth", "occlusion_random_fifth"
P_VALUE = "occlusion_p_value"
MOST_ALIKE, LARGEST_P = 0.1, 0.05
SENTENCES = {
    RANDOM_WEIGHTS: "Rank correlation of the model's explanations with those of its "
    "network with random weights, with an interval of 90 %.",
    DELETED: "How far the explained number falls without the strongest fifth of the "
    "pieces of an item.",
    DELETED_AT_RANDOM: "How far it falls without a fifth of the pieces at random.",
    P_VALUE: "How likely the strongest pieces would lead the others so far by chance.",
}


class Verdict(Record):
    """Whether explanations are shown.

    Attributes:
        status: only what has passed is shown.
        reason: a sentence without its full stop.
    """

    status: Literal["passed", "failed", "unchecked"]
    reason: str

    @property
    def sentence(self) -> str:
        """What a page says."""
        if self.status == "passed":
            return f"Explanations passed their check: {self.reason}."
        return f"Not shown: {self.reason}."


def verdict_of(metrics: Mapping[str, float | None]) -> Verdict:
    """The verdict on explanations, by the metrics of an evaluation."""
    alike, low = (metrics.get(RANDOM_WEIGHTS + end) for end in ("", "_low"))
    top, others, p_value = map(metrics.get, (DELETED, DELETED_AT_RANDOM, P_VALUE))
    if alike is None or low is None:
        return Verdict(
            status="unchecked",
            reason="explanations were not checked: too few test items have four pieces "
            "or more, or the model is not made of pre-processing and network",
        )
    if top is None or others is None or p_value is None:
        return Verdict(status="failed", reason="explanations are not finite")
    figures = f"rank correlation {alike:.2f} with random weights"
    falls = (
        f"the number falls by {top:.3g} without the strongest fifth of the pieces and "
        f"by {others:.3g} without a random fifth"
    )
    if low > MOST_ALIKE:
        reason = (
            f"explanations are too much like those of random weights ({figures}; not "
            f"more than {MOST_ALIKE:g} is allowed)"
        )
        return Verdict(status="failed", reason=reason)
    if p_value > LARGEST_P:
        reason = f"the strongest pieces do not decide: {falls} (p = {p_value:.2g})"
        return Verdict(status="failed", reason=reason)
    return Verdict(status="passed", reason=f"{figures}; {falls}")


def version_verdict(model: str, version: int | None, ledger: Ledger) -> Verdict:
    """The verdict on a version, by its last evidence that has one.

    Args:
        model: its name.
        version: None: it is not registered.
        ledger: with its evidence.

    Raises:
        DependencyError: the ledger does not answer.
    """
    every = [] if version is None else ledger.evidence_of(model, version)
    for evidence in reversed(every):
        if RANDOM_WEIGHTS in evidence.metrics:
            return verdict_of(evidence.metrics)
    return verdict_of({})
