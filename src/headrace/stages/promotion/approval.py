"""Promotion that waits for an approval.

An answer is recorded in the ledger. If it approves, the version is then promoted under
the same conditions as in a run. A waiting run reads the answer from the ledger, so the
answer may come from anywhere, even after the run has ended.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from headrace.errors import NotFoundError, PromotionError, UsageError
from headrace.models.logged.checks import require_sound
from headrace.pipeline import PipelineSpec
from headrace.records import EvaluationRecord, RegistrationRecord
from headrace.stages.promotion import (
    evidence_of,
    evidence_to_approve,
    is_approved,
    keep_decision,
    passing_gates,
    standing,
    verdict,
)
from headrace.stages.promotion.conditions import require_licensed, sign_if_wanted
from headrace.state.home import Home
from headrace.state.ledger import Approval, Entry, Ledger

log = logging.getLogger("headrace")


def ask(
    spec: PipelineSpec,
    evaluation: EvaluationRecord,
    registration: RegistrationRecord,
    home: Home,
) -> tuple[Approval, bool] | None:
    """Ask for the approval of a run's version, if nothing else is missing.

    Returns:
        the open request, and whether it is new; None if no answer is needed, or if it
        was given.
    """
    version, is_asked = registration.version, spec.promotion.mode == "approval"
    if version is None or not is_asked or verdict(spec, evaluation):
        return None
    ledger = home.ledger
    champion = ledger.champion(spec.name)
    evidence = evidence_of(registration, ledger)
    is_experiment = evidence is not None and evidence.experiment
    if is_experiment or standing(spec, version, evaluation, ledger, champion):
        return None
    last = ledger.approval(spec.name, version)
    if is_approved(last, evidence):
        return None
    number = evidence.id if evidence else None
    if last and last.action == "request" and last.evidence_id == number:
        return last, False
    hours = timedelta(hours=spec.promotion.approval_hours)
    request = Approval(
        model=spec.name,
        version=version,
        step=last.step + 1 if last else 1,
        action="request",
        who=home.settings.user,
        expires=(datetime.now(UTC) + hours).isoformat(timespec="milliseconds"),
        four_eyes=spec.promotion.four_eyes,
        evidence_id=number,
    )
    try:
        return ledger.add_approval(request), True
    except PromotionError:  # another run of the same version has asked just now
        return ask(spec, evaluation, registration, home)


def is_open(request: Approval, ledger: Ledger) -> bool:
    """Whether a request has no answer yet."""
    return ledger.approval(request.model, request.version) == request


def check_eyes(request: Approval, who: str) -> None:
    """Raise PromotionError if the one who asked may not answer."""
    if request.four_eyes and request.who.strip().casefold() == who.strip().casefold():
        raise PromotionError(
            f"{who} started the run of {request.model} version {request.version}, and "
            "four_eyes of its pipeline requires somebody else to decide.",
            "Ask a colleague, or overrule with `headrace promote --force`.",
        )


def approve(
    model: str, version: int | None, home: Home, *, reason: str
) -> tuple[Entry, bool]:
    """Approve a version and promote it.

    Args:
        version: None for the one that waits.

    Returns:
        the ledger's entry of its promotion, and whether it is new.

    Raises:
        NotFoundError: nothing waits, or there is no such version.
        UsageError: a version that was rejected or rolled back is approved without a
            reason, or it must be signed and cannot be.
        PromotionError: never asked for, an experiment, not by this user, no passing
            evidence, the champion is not the one it was compared with, or the law
            allows other licences than its backbone has.
        IntegrityError: the version's file is gone or changed, or it answers otherwise.
    """
    ledger, user = home.ledger, home.settings.user
    champion = ledger.champion(model)
    if champion is not None and version == champion.version.version:
        return champion.entry, False
    request, last = _find(model, version, ledger)
    check_eyes(request, user)
    rolled_back = ledger.was_rolled_back(model, request.version)
    if (rolled_back or last.action == "reject") and not reason.strip():
        decision = f"rolled back by {rolled_back.who}" if rolled_back else str(last)
        raise UsageError(
            f"Version {last.version} of {model} was {decision}.",
            "To approve it all the same, say why with --reason TEXT.",
        )
    row = ledger.version(model, request.version)
    evidence = evidence_to_approve(ledger, request, champion)
    require_sound(row, home)
    sign_if_wanted(row, home)
    require_licensed(row, evidence, home)
    # An approval before a rollback, or of earlier evidence, no longer counts.
    if rolled_back or not is_approved(last, evidence):
        values = {"who": user, "why": reason, "evidence_id": evidence.id}
        last = ledger.add_approval(last.answer("approve", **values))
    before = champion.entry.sequence if champion else 0
    entry, is_new = ledger.promote(
        model,
        row.version,
        who=last.who,
        why=f"{last}; {passing_gates(evidence.gates)}",
        expected_sequence=before,
        evidence_id=evidence.id,
    )
    keep_decision(model, home)
    return entry, is_new


def reject(model: str, version: int | None, home: Home, *, reason: str) -> Approval:
    """Reject a version: no run asks for it again.

    Args:
        version: None for the one that waits.

    Raises:
        NotFoundError: nothing waits, or there is no such version.
        UsageError: no reason is given.
        PromotionError: never asked for, not by this user, or it is the champion.
    """
    if not reason.strip():
        raise UsageError("A rejection needs a reason.", "Give it with --reason TEXT.")
    ledger, user = home.ledger, home.settings.user
    request, last = _find(model, version, ledger)
    champion = ledger.champion(model)
    if champion is not None and champion.version.version == request.version:
        raise PromotionError(
            f"Version {request.version} of {model} is the champion already.",
            f"Take it back with `headrace rollback {model} --reason TEXT`.",
        )
    check_eyes(request, user)
    values = {"who": user, "why": reason, "evidence_id": last.evidence_id}
    answer = ledger.add_approval(last.answer("reject", **values))
    keep_decision(model, home)
    return answer


def _find(model: str, version: int | None, ledger: Ledger) -> tuple[Approval, Approval]:
    """The last request for a version, and the last request or answer."""
    if version is None:
        ledger.newest_version(model)  # NotFoundError where there is no such model
        waiting = ledger.waiting(model)
        if len(waiting) != 1:
            numbers = ", ".join(str(request.version) for request in waiting)
            if waiting:
                message = f"The versions {numbers} of {model} wait for approval."
                raise NotFoundError(message, "Name one.")
            message = f"No version of {model} waits for approval."
            raise NotFoundError(message, f"See `headrace history {model}`.")
        return waiting[0], waiting[0]
    ledger.version(model, version)
    request, last = ledger.request(model, version), ledger.approval(model, version)
    if request is None or last is None:
        evidence = ledger.latest_evidence(model, version)
        if evidence is not None and evidence.experiment:
            raise PromotionError(
                f"Version {version} of {model} is of an experiment, which overrides "
                f"{', '.join(evidence.overrides)}: it cannot be approved.",
                f"Run `headrace run {model}` without them, or overrule with "
                f"`headrace promote {model} {version} --force --reason TEXT`.",
            )
        raise PromotionError(
            f"Nobody has asked for the approval of version {version} of {model}.",
            f"Promote it by hand: `headrace promote {model} {version}`.",
        )
    return request, last
