"""Whether a run has nothing left to do, and how it ends then."""

from __future__ import annotations

from typing import NamedTuple

from headrace.models.logged.checks import file_mismatches
from headrace.planning.plan import Plan
from headrace.records import EvaluationRecord
from headrace.stages.promotion import (
    experiment_reason,
    registered_only,
    standing,
    verdict,
)
from headrace.stages.registration import find_version


class Finished(NamedTuple):
    """How a run ends whose last results are all valid."""

    version: int
    status: str
    reason: str


def find_finished(plan: Plan, *, register_only: bool = False) -> Finished | None:
    """How the last run ended, if nothing that its results depend on has changed.

    Needs neither Prefect, TensorFlow, Great Expectations nor MLflow.

    Args:
        plan: of the run.
        register_only: whether the run promotes nothing, whatever the gates say.
    """
    training, evaluation = plan.last.training, plan.last.evaluation
    if not (training and evaluation):
        return None
    name = plan.spec.name
    if plan.home.ledger.unsettled_since(name):  # a killed run must be cleaned up first
        return None
    version = find_version(name, training, plan.home.ledger)
    if version is None or any(file_mismatches(version, plan.home)):
        return None
    if not _is_judged(plan, evaluation, version.version):
        return None
    outcome = _outcome(plan, evaluation, version.version, register_only)
    return Finished(version.version, *outcome) if outcome else None


def _is_judged(plan: Plan, evaluation: EvaluationRecord, version: int) -> bool:
    """Whether the ledger's last evidence under this law is of this evaluation."""
    same = [
        row
        for row in plan.home.ledger.evidence_of(plan.spec.name, version)
        if row.champion_version == evaluation.champion_version
        and row.law_digest == plan.law.digest
        and row.law.get("applied") == plan.law.applied
    ]
    return bool(same) and same[-1].gates == evaluation.gates


def _outcome(
    plan: Plan, evaluation: EvaluationRecord, version: int, register_only: bool
) -> tuple[str, str] | None:
    name, ledger = plan.spec.name, plan.home.ledger
    champion = ledger.champion(name)
    decided = verdict(plan.spec, evaluation)
    if decided is not None and decided.status == "refused":
        return decided.status, decided.reason
    number = champion.version.version if champion else None
    if plan.law.overrides:
        return "unchanged", experiment_reason(name, version, plan.law.changes, number)
    if number == version:
        return "unchanged", f"version {version} is the champion"
    if decided is None and number != evaluation.champion_version:
        return None  # another run has just promoted: it is judged again
    decided = decided or standing(plan.spec, version, evaluation, ledger, champion)
    if decided is not None:
        return "refused" if decided.status == "refused" else "unchanged", decided.reason
    return ("unchanged", registered_only(name, version)) if register_only else None
