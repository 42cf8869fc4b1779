"""A run that has nothing left to do is answered from what was kept."""

from __future__ import annotations

from headrace.planning.plan import Plan
from headrace.promotion import verdict
from headrace.records import (
    ContractRecord,
    EvaluationRecord,
    Record,
    SnapshotRecord,
    TrainingRecord,
)
from headrace.registration import training_key


class Finished(Record):
    """The records of a run that has nothing left to do."""

    snapshot: SnapshotRecord
    contract: ContractRecord
    training: TrainingRecord
    evaluation: EvaluationRecord
    version: int
    status: str
    reason: str


def find_finished(plan: Plan) -> Finished | None:
    """The last run's records, if nothing that it depends on has changed since.

    Needs neither Prefect, TensorFlow, Great Expectations nor MLflow.
    """
    kept = plan.kept
    snapshot, contract = kept.snapshot, kept.contract
    training, evaluation = kept.training, kept.evaluation
    if not (snapshot and contract and training and evaluation):
        return None
    name = plan.spec.name
    if plan.ledger.is_unsettled(name):  # what it left half done is to be put right
        return None
    version = plan.ledger.find_training(name, training_key(training))
    if version is None:
        return None
    evidence = plan.ledger.latest_evidence(name, version.version)
    if evidence is None or evidence.gates != evaluation.gates:
        return None
    outcome = _outcome(plan, evaluation, version.version)
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


def _outcome(
    plan: Plan, evaluation: EvaluationRecord, version: int
) -> tuple[str, str] | None:
    champion = plan.ledger.champion(plan.spec.name)
    decided = verdict(plan.spec, evaluation)
    if decided is not None and decided.status == "refused":
        return decided.status, decided.reason
    if champion is not None and champion.version.version == version:
        return "unchanged", f"version {version} is the champion"
    if decided is not None:
        return "unchanged", decided.reason
    approval = plan.ledger.approval(plan.spec.name, version)
    if approval is not None and approval.action == "reject":
        return "refused", f"version {version} was {approval}"
    if plan.ledger.was_rolled_back(plan.spec.name, version):
        return "unchanged", f"version {version} was rolled back"
    return None
