"""The promotion stage: a run ends with its version promoted, registered or refused.

The ledger decides. MLflow's aliases are updated from it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

from headrace.errors import PromotionError
from headrace.models.logged.checks import find_mismatches
from headrace.pipeline import PipelineSpec
from headrace.pipeline.law import Change, recorded_changes
from headrace.records import (
    EvaluationRecord,
    GateResult,
    PromotionRecord,
    RegistrationRecord,
)
from headrace.stages.promotion.conditions import find_flaw, sign_if_wanted
from headrace.stages.promotion.registry import project_aliases, publish_head
from headrace.state.home import Home
from headrace.state.ledger import Approval, Champion, Evidence, Ledger, Version

_SHOWN = 3


def evidence_of(registration: RegistrationRecord, ledger: Ledger) -> Evidence | None:
    """The last evidence with the version, champion and law of a run's."""
    model, version = registration.model, registration.version
    if version is None:
        return None
    if registration.evidence_id is None:
        return ledger.latest_evidence(model, version)
    own = ledger.evidence(model, registration.evidence_id)
    if own is None or own.experiment:
        return own
    return ledger.find_evidence(model, version, own.champion_version, own.law_digest)


def evidence_to_approve(
    ledger: Ledger, request: Approval, champion: Champion | None
) -> Evidence:
    """The passing evidence against the present champion, by the request's law."""
    model, version = request.model, request.version
    now = champion.version.version if champion else None
    asked = ledger.evidence(model, request.evidence_id)
    law = asked.law_digest if asked else None
    evidence = ledger.require_evidence(model, version, now, law)
    if not evidence.passed:
        raise PromotionError(
            f"Version {version} of {model} did not pass its gates when it was "
            "evaluated last.",
            f"See `headrace compare {model}`.",
        )
    return evidence


def experiment_reason(
    model: str, version: int, overridden: Sequence[Change], champion: int | None
) -> str:
    """Why the version of an experiment is not promoted."""
    fields = "; ".join(map(str, overridden[:_SHOWN]))
    more = len(overridden) - _SHOWN
    fields += f" and {more} more" if more > 0 else ""
    overrides = f"an experiment, which overrides the pipeline file: {fields}."
    by_force = f"`headrace promote {model} {version} --force --reason TEXT`"
    if version != champion:
        return f"{overrides} Only {by_force} makes it champion"
    stays = f"{overrides} Version {version} stays the champion"
    if any(change.field == "project" for change in overridden):
        stays += f"; {by_force} makes this project's file its law"
    return stays


def _registered(reason: str) -> PromotionRecord:
    return PromotionRecord(status="registered", reason=reason)


def _refused(reason: str) -> PromotionRecord:
    return PromotionRecord(status="refused", reason=reason)


def verdict(spec: PipelineSpec, evaluation: EvaluationRecord) -> PromotionRecord | None:
    """How a run ends by its gates alone; None if it may be promoted."""
    failed = [gate for gate in evaluation.gates if not gate.passed]
    if any(gate.kind != "champion" for gate in failed):
        return _refused("; ".join(f"{gate.name}: {gate.reason}" for gate in failed))
    if failed:
        return _registered(f"champion kept: {failed[0].reason}")
    if not spec.gates:
        return _registered("there are no gates")
    if spec.promotion.mode == "manual":
        return _registered("promotion.mode is manual: promote it by hand")
    return None


def conclude(
    spec: PipelineSpec,
    evaluation: EvaluationRecord,
    registration: RegistrationRecord,
    home: Home,
    *,
    began_at: int | None = None,
    register_only: bool = False,
) -> PromotionRecord:
    """End a run: promote its version where law, gates, mode and history allow it.

    Args:
        spec: the pipeline, as the run applied it.
        evaluation: of the run's training.
        registration: its version and evidence.
        home: the run's, whose ledger rejects writes once the run has lost its lease.
        began_at: the ledger's last entry when the run began. Its version may have been
            promoted since, by an approval or by an earlier attempt of this stage. None
            if a champion of now was champion before.
        register_only: whether to promote nothing, even if all gates pass.
    """
    decided = verdict(spec, evaluation)
    version = registration.version
    if version is None:
        return decided or _refused(registration.reason)
    ledger = home.ledger
    evidence = evidence_of(registration, ledger)
    # Read before the history, so that a rollback in between is noticed.
    champion = ledger.champion(spec.name)
    number = champion.version.version if champion else None
    is_refused = decided is not None and decided.status == "refused"
    if evidence is not None and evidence.experiment:
        if not is_refused:
            changes = recorded_changes(evidence.law)
            reason = experiment_reason(spec.name, evidence.version, changes, number)
            decided = _registered(f"{decided.reason}; {reason}" if decided else reason)
    elif champion and number == version and not is_refused:
        decided = _still_champion(champion, began_at)
    elif decided is None:
        decided = standing(spec, version, evaluation, ledger, champion)
    if decided is None and register_only:
        decided = _registered(registered_only(spec.name, version))
    if decided is None or decided.status in ("promoted", "unchanged"):
        row = ledger.version(spec.name, version)
        decided = _refuse_unsound(row, home) or decided
        if decided is None and spec.promotion.licence:
            decided = _refuse_unlicensed(row, spec.promotion.licence, home)
    if decided is None:
        why = passing_gates(evaluation.gates)
        decided = _promote(spec, version, why, evidence, home, champion)
    if decided.status in ("promoted", "unchanged"):
        aliases = keep_decision(spec.name, home)
    else:
        aliases = project_aliases(spec.name, home)
    return decided.model_copy(update={"aliases": aliases.get(version, ())})


def keep_decision(model: str, home: Home) -> dict[int, tuple[str, ...]]:
    """Show in MLflow who is champion, and the head of the chain.

    Returns:
        MLflow's aliases by version.
    """
    aliases = project_aliases(model, home)
    publish_head(model, home)
    return aliases


def standing(
    spec: PipelineSpec,
    version: int,
    evaluation: EvaluationRecord,
    ledger: Ledger,
    champion: Champion | None,
) -> PromotionRecord | None:
    """How a run ends by the ledger's history; None if it may be promoted."""
    now = champion.version.version if champion else None
    if champion is not None and now == version:
        return _still_champion(champion, None)
    if rolled_back := ledger.was_rolled_back(spec.name, version):
        why = f" ({rolled_back.why})" if rolled_back.why else ""
        return _registered(
            f"version {version} was rolled back by {rolled_back.who}{why}: promote it "
            "by hand"
        )
    approval = ledger.approval(spec.name, version)
    if approval is not None and approval.action == "reject":
        return _refused(f"version {version} was {approval}")
    if now != evaluation.champion_version:
        return _registered(
            f"champion kept: it is version {now}, and this was compared with "
            f"{evaluation.champion_version or 'none'}; run again"
        )
    return None


def _refuse_unsound(version: Version, home: Home) -> PromotionRecord | None:
    """A refusal if a version's files or answers are not those that were registered.

    They are checked now, since they may have changed after the evaluation.
    """
    for mismatch in find_mismatches([version], home):
        return _refused(
            f"version {version.version} is not what was registered: "
            f"{mismatch.message} Run `headrace verify {version.model}/"
            f"{version.version} --repair`."
        )
    return None


def _refuse_unlicensed(
    version: Version, allowed: Sequence[str], home: Home
) -> PromotionRecord | None:
    """A refusal if a version's backbone has none of the licences that are allowed."""
    flaw = find_flaw(version, allowed, home)
    return _refused(f"promotion.licence: {flaw}") if flaw else None


def passing_gates(gates: Sequence[GateResult]) -> str:
    """The reason of a promotion: the verdicts of its passing gates."""
    reasons = [gate.reason for gate in gates if gate.kind == "champion"]
    return "; ".join(["all gates hold", *reasons])


def _still_champion(champion: Champion, began_at: int | None) -> PromotionRecord:
    """How a run of the champion ends: promoted during the run, or unchanged."""
    if began_at is not None and champion.entry.sequence > began_at:
        return PromotionRecord(status="promoted", reason=champion.entry.why)
    reason = f"version {champion.version.version} is the champion already"
    return PromotionRecord(status="unchanged", reason=reason)


def registered_only(model: str, version: int) -> str:
    """Why a run that only registers does not promote its version."""
    return (
        "all gates hold, but the run was only to register it: "
        f"`headrace promote {model} {version}` makes it champion"
    )


def _promote(
    spec: PipelineSpec,
    version: int,
    why: str,
    evidence: Evidence | None,
    home: Home,
    champion: Champion | None,
) -> PromotionRecord:
    ledger, who = home.ledger, home.settings.user
    if spec.promotion.mode == "approval":
        approval = ledger.approval(spec.name, version)
        if not is_approved(approval, evidence):
            return _registered(f"it waits for `headrace approve {spec.name} {version}`")
        who, why = approval.who, f"{approval}; {why}"
    sign_if_wanted(ledger.version(spec.name, version), home)
    try:
        entry, is_new = ledger.promote(
            spec.name,
            version,
            who=who,
            why=why,
            expected_sequence=champion.entry.sequence if champion else 0,
            evidence_id=evidence.id if evidence else None,
        )
    except PromotionError as error:
        return _registered(f"champion kept: {error.message}")
    return PromotionRecord(status="promoted", reason=why if is_new else str(entry))


def is_approved(
    approval: Approval | None, evidence: Evidence | None
) -> TypeGuard[Approval]:
    """Whether an approval was given for the last evidence."""
    if approval is None or evidence is None or approval.action != "approve":
        return False
    return approval.evidence_id == evidence.id
