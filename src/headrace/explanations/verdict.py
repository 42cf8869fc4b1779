"""Whether the maps of a version are shown: its measurements, and their bounds.

A method that draws much the same whatever a model has learned says nothing about the
model (J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018). So maps of
the version are compared with those of models that have learned something else. Maps of
another seed show how alike maps of the same knowledge are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from headrace.explanations.checked import MEASURED, find_check
from headrace.records import Record

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

METHODS = {"gradients": "integrated gradients", "occlusion": "occlusion"}
MOST_ALIKE, LEAST_ALIKE, LARGEST_ERROR = 0.1, 0.5, 0.01
ERROR = "gradients_completeness_error"
PRIVATE = (
    "maps are not checked where training protects privacy, as further models would "
    "spend more of it"
)
OTHERS = {
    "random_weights": "random weights",
    "random_labels": "random labels",
    "other_seed": "another seed",
}


class Verdict(Record):
    """Whether maps by one method are shown.

    Attributes:
        status: only maps that have passed are shown.
        reason: a sentence without its full stop.
    """

    status: Literal["passed", "failed", "unchecked"]
    reason: str


def verdict_of(metrics: Mapping[str, float | None], method: str) -> Verdict:
    """The verdict on a method, by what a check has measured.

    Args:
        metrics: with the correlations.
        method: of `METHODS`.
    """
    values = {name: metrics.get(f"{method}_{name}") for name in OTHERS}
    measured = {name: value for name, value in values.items() if value is not None}
    if not measured and MEASURED in metrics:
        return Verdict(
            status="unchecked",
            reason="integrated gradients were not computed: the network begins with "
            "frozen layers, or has no embedding of its tokens",
        )
    if len(measured) < len(OTHERS):
        return Verdict(
            status="unchecked",
            reason="maps were not checked: the items have too few pieces to compare",
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


def verdicts_of(metrics: Mapping[str, float | None]) -> dict[str, Verdict]:
    """The verdict on each method, by what a check has measured."""
    return {method: verdict_of(metrics, method) for method in METHODS}


def sanity_of(model: str, version: int | None, ledger: Ledger) -> dict[str, Verdict]:
    """The verdict on each method, by the last check in the ledger.

    Args:
        model: its name.
        version: None: it is not registered, and nothing was checked.
        ledger: with its checks.

    Raises:
        NotFoundError: there is no such version.
        DependencyError: the ledger does not answer.
    """
    if version is None:
        return unchecked("maps were not checked: the model has no version")
    if check := find_check(ledger, model, version):
        if check.reason:
            return impossible(model, version, check.reason)
        return verdicts_of(check.metrics)
    if not is_due(model, version, ledger):
        return unchecked(PRIVATE)
    champion = ledger.champion(model)
    is_champion = champion is not None and champion.version.version == version
    name = model if is_champion else f"{model}/{version}"
    command = f"`headrace explain {name}`"
    return unchecked(
        f"maps were not checked, which takes two more trainings: {command} does it"
    )


def is_due(model: str, version: int | None, ledger: Ledger) -> bool:
    """Whether a version can be checked, and was not.

    Raises:
        NotFoundError, DependencyError: as `sanity_of` does.
    """
    if version is None or find_check(ledger, model, version):
        return False
    training = ledger.version(model, version).details.get("training", {})
    return not training.get("privacy")


def impossible(model: str, version: int, reason: str) -> dict[str, Verdict]:
    """The verdicts on a version that could not be checked, for a reason."""
    return unchecked(
        f"maps could not be checked: {reason}; `headrace explain {model}/{version}` "
        "tries again"
    )


def unchecked(reason: str) -> dict[str, Verdict]:
    """The verdicts on a version that was not checked, for a reason."""
    return {m: Verdict(status="unchecked", reason=reason) for m in METHODS}


def sentences(verdicts: Mapping[str, Verdict]) -> list[str]:
    """What a page says on each method: that its maps are shown, or why they are not."""
    reasons = dict.fromkeys(verdict.reason for verdict in verdicts.values())
    if all(verdict.status == "unchecked" for verdict in verdicts.values()):
        return [f"Not shown: {reason}." for reason in reasons]
    return [
        f"{METHODS[method].capitalize()} passed the sanity check: {verdict.reason}."
        if verdict.status == "passed"
        else f"Not shown: {verdict.reason}."
        for method, verdict in verdicts.items()
    ]
