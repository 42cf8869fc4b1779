"""A run with no work left to do is answered from the store and the ledger."""

from __future__ import annotations

from headrace.models.logged.soundness.checks import find_flaw
from headrace.planning.plan import Plan
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Record,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.stages.promotion.ending import experiment_reason, registered_only, verdict
from headrace.stages.registration import training_key


class Finished(Record):
    """The records of a run that has nothing left to do."""

    snapshot: SnapshotRecord
    contract: ContractRecord
    training: TrainingRecord
    evaluation: EvaluationRecord
    version: int
    status: str
    reason: str


def find_finished(plan: Plan, *, register_only: bool = False) -> Finished | None:
    """The last run's records, if nothing that they depend on has changed.

    Needs neither Prefect, TensorFlow, Great Expectations nor MLflow.

    Args:
        plan: of the run.
        register_only: whether the run promotes nothing, whatever the gates say.
    """
    last = plan.last
    snapshot, contract = last.snapshot, last.contract
    training, evaluation = last.training, last.evaluation
    if not (snapshot and contract and training and evaluation):
        return None
    name = plan.spec.name
    if plan.ledger.is_unsettled(name):  # a killed run must be cleaned up first
        return None
    version = plan.ledger.find_training(name, training_key(training))
    if version is None or find_flaw(version, plan.settings):
        return None
    if not _is_known(plan, evaluation, version.version):
        return None
    outcome = _outcome(plan, evaluation, version.version, register_only)
    if outcome is None:
        return None
    status, reason = outcome
    return Finished(
        snapshot=snapshot,
        contract=contract,
        training=training,
        evaluation=evaluation,
        version=version.version,
        status=status,
        reason=reason,
    )


def _is_known(plan: Plan, evaluation: EvaluationRecord, version: int) -> bool:
    """Whether the ledger's last evidence under this law is of this evaluation."""
    law = plan.law
    same = [
        row
        for row in plan.ledger.evidence_of(plan.spec.name, version)
        if row.champion_version == evaluation.champion_version
        and row.law_digest == law.digest
        and row.law.get("applied") == law.applied
    ]
    return bool(same) and same[-1].gates == evaluation.gates


def _outcome(
    plan: Plan, evaluation: EvaluationRecord, version: int, register_only: bool
) -> tuple[str, str] | None:
    name = plan.spec.name
    champion = plan.ledger.champion(name)
    decided = verdict(plan.spec, evaluation)
    if decided is not None and decided.status == "refused":
        return decided.status, decided.reason
    if plan.law.overrides:
        return "unchanged", experiment_reason(name, version, plan.law.changes)
    if champion is not None and champion.version.version == version:
        return "unchanged", f"version {version} is the champion"
    if decided is not None:
        return "unchanged", decided.reason
    return _by_history(plan, version, register_only)


def _by_history(
    plan: Plan, version: int, register_only: bool
) -> tuple[str, str] | None:
    """The status of a version whose gates hold; None if it is to be promoted."""
    name = plan.spec.name
    approval = plan.ledger.approval(name, version)
    if approval is not None and approval.action == "reject":
        return "refused", f"version {version} was {approval}"
    if plan.ledger.was_rolled_back(name, version):
        return "unchanged", f"version {version} was rolled back"
    return ("unchanged", registered_only(name, version)) if register_only else None
