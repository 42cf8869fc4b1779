"""Which evidence a decision is made on, and what an experiment's allows."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.errors import PromotionError
from headrace.records import PromotionRecord, RegistrationRecord
from headrace.spec.law import Change, recorded_changes
from headrace.state.ledger import Approval, Champion, Evidence, Ledger
from headrace.state.ledger.versions import compared_with_another

_SHOWN = 3


def evidence_of(registration: RegistrationRecord, ledger: Ledger) -> Evidence | None:
    """The last evidence like that of a run: same version, champion and law."""
    model, version = registration.model, registration.version
    if version is None:
        return None
    if registration.evidence_id is None:
        return ledger.latest_evidence(model, version)
    own = ledger.evidence(registration.evidence_id)
    if own is None or own.experiment:
        return own
    return ledger.find_evidence(model, version, own.champion_version, own.law_digest)


def evidence_to_approve(
    ledger: Ledger, request: Approval, champion: Champion | None
) -> Evidence:
    """The passing evidence against today's champion, under the law of the request."""
    model, version = request.model, request.version
    now = champion.version.version if champion else None
    asked = (
        None if request.evidence_id is None else ledger.evidence(request.evidence_id)
    )
    law = asked.law_digest if asked else None
    evidence = ledger.find_evidence(model, version, now, law)
    if evidence is None:
        before = asked.champion_version if asked else None
        raise compared_with_another(model, version, before, now)
    if not evidence.passed:
        raise PromotionError(
            f"Version {version} of {model} did not pass its gates when "
            "it was evaluated last.",
            f"See `headrace compare {model}`.",
        )
    return evidence


def end_experiment(
    evidence: Evidence, decided: PromotionRecord | None
) -> PromotionRecord:
    """How a run ends that overrode the law of its pipeline's file.

    Args:
        evidence: of the run.
        decided: how it ends by its gates alone; None where they hold.
    """
    if decided is not None and decided.status == "refused":
        return decided
    reason = experiment_reason(
        evidence.model, evidence.version, recorded_changes(evidence.law)
    )
    if decided is not None:
        reason = f"{decided.reason}; {reason}"
    return PromotionRecord(status="registered", reason=reason)


def experiment_reason(model: str, version: int, overridden: Sequence[Change]) -> str:
    """Why the version of an experiment is not promoted."""
    fields = "; ".join(map(str, overridden[:_SHOWN]))
    more = len(overridden) - _SHOWN
    fields += f" and {more} more" if more > 0 else ""
    return (
        f"an experiment, which overrides the pipeline file: {fields}. Only "
        f"`headrace promote {model} {version} --force --reason TEXT` makes it champion"
    )
