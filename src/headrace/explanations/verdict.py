"""Whether the maps of a version are shown: its measurements, and their bounds.

A method that draws much the same whatever a model has learned says nothing about the
model (J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018). So maps of
the version are compared with those of models that have learned something else. Maps of
another seed show how alike maps of the same knowledge are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from headrace.state.home import Home
from headrace.wire import Answer

if TYPE_CHECKING:
    from headrace.settings import Settings

METHODS = {"gradients": "integrated gradients", "occlusion": "occlusion"}
MOST_ALIKE, LEAST_ALIKE, LARGEST_ERROR = 0.1, 0.5, 0.01
ERROR = "gradients_completeness_error"
OTHERS = {
    "random_weights": "random weights",
    "random_labels": "random labels",
    "other_seed": "another seed",
}


class Verdict(Answer):
    """Whether maps by one method are shown.

    Attributes:
        status: only maps that have passed are shown.
        reason: a sentence without its full stop.
    """

    status: Literal["passed", "failed", "unchecked"]
    reason: str


def verdict_of(metrics: Mapping[str, float | None], method: str) -> Verdict:
    """The verdict on a method, by the metrics of a version's evaluation.

    Args:
        metrics: with the correlations, if they were measured.
        method: of `METHODS`.
    """
    values = {name: metrics.get(f"{method}_{name}") for name in OTHERS}
    measured = {name: value for name, value in values.items() if value is not None}
    if not measured and f"occlusion_{next(iter(OTHERS))}" in metrics:
        return Verdict(
            status="unchecked",
            reason="integrated gradients were not computed: the network begins with "
            "frozen layers, or has no embedding of its tokens",
        )
    if len(measured) < len(OTHERS):
        return Verdict(
            status="unchecked",
            reason="maps were not checked: that takes two more trainings, which a run "
            'makes where they take seconds, and with evaluation.depth = "full" in any '
            'case; never with "quick", or where training protects privacy',
        )
    alike = ", ".join(f"{measured[n]:.2f} for {words}" for n, words in OTHERS.items())
    figures = f"rank correlation with maps of other models {alike}"
    for name in ("random_weights", "random_labels"):
        if not measured[name] <= MOST_ALIKE:
            return Verdict(
                status="failed",
                reason=f"maps by {METHODS[method]} are too much like those of a model "
                f"with {OTHERS[name]} ({figures}; at most {MOST_ALIKE:g} is allowed)",
            )
    if not measured["other_seed"] >= LEAST_ALIKE:
        return Verdict(
            status="failed",
            reason=f"maps by {METHODS[method]} depend on the seed of training "
            f"({figures}; at least {LEAST_ALIKE:g} is asked of another seed)",
        )
    error = metrics.get(ERROR) if method == "gradients" else None
    if method == "gradients" and not (error is not None and error <= LARGEST_ERROR):
        shown = "not a number" if error is None else f"{error:.2%}"
        return Verdict(
            status="failed",
            reason="integrated gradients do not add up: the error of their sum is "
            f"{shown} at the 95th percentile, and at most {LARGEST_ERROR:.0%} is "
            "allowed",
        )
    return Verdict(status="passed", reason=figures)


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
        every = Home(settings).ledger.evidence_of(model, version)
        checked = [e for e in every if "occlusion_random_weights" in e.metrics]
        metrics = checked[-1].metrics if checked else {}
    return {method: verdict_of(metrics, method) for method in METHODS}


def sentences(metrics: Mapping[str, float | None]) -> list[str]:
    """What a page says on each method: that its maps are shown, or why they are not."""
    verdicts = {method: verdict_of(metrics, method) for method in METHODS}
    if all(verdict.status == "unchecked" for verdict in verdicts.values()):
        return [f"Not checked, and so not shown: {verdicts['occlusion'].reason}."]
    return [
        f"{METHODS[method].capitalize()} passed the sanity check: {verdict.reason}."
        if verdict.status == "passed"
        else f"Not shown: {verdict.reason}."
        for method, verdict in verdicts.items()
    ]
