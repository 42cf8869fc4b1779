"""Promotion where a person decides: by an approval, or by command.

An answer is recorded in the ledger. If it approves, the version is then promoted under
the same conditions as in a run. A waiting run reads the answer from the ledger, so the
answer may come from anywhere, even after the run has ended. A command promotes a
version whose evidence passes, or rolls back to the previous champion.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from headrace.errors import NotFoundError, PromotionError, UsageError
from headrace.models.logged.soundness.checks import require_sound
from headrace.records import EvaluationRecord, RegistrationRecord
from headrace.settings import Settings
from headrace.spec import PipelineSpec
from headrace.spec.folders import find_pipeline
from headrace.spec.project import project_file, project_id
from headrace.stages.promotion import (
    evidence_of,
    evidence_to_approve,
    is_approved,
    keep_decision,
    passing_gates,
    standing,
    verdict,
)
from headrace.stages.promotion.signed import require_signed
from headrace.state.ledger import Approval, Champion, Entry, Evidence, Ledger, Version
from headrace.state.ledger.anchors import project_of

log = logging.getLogger("headrace")

Judge = Callable[[Version, Champion | None], Evidence]


def ask(
    spec: PipelineSpec,
    evaluation: EvaluationRecord,
    registration: RegistrationRecord,
    settings: Settings,
    ledger: Ledger | None = None,
) -> tuple[Approval, bool] | None:
    """Ask for the approval of a run's version, if nothing else is missing.

    Args:
        ledger: the run's, which rejects writes once the run has lost its lease.

    Returns:
        the open request, and whether it is new; None if no answer is needed, or if it
        was given.
    """
    version, is_asked = registration.version, spec.promotion.mode == "approval"
    if version is None or not is_asked or verdict(spec, evaluation):
        return None
    ledger = ledger or Ledger(settings.database_url)
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
        who=settings.user,
        expires=(datetime.now(UTC) + hours).isoformat(timespec="milliseconds"),
        four_eyes=spec.promotion.four_eyes,
        evidence_id=number,
    )
    try:
        return ledger.add_approval(request), True
    except PromotionError:  # another run of the same version has asked just now
        return ask(spec, evaluation, registration, settings, ledger)


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
    model: str,
    version: int | None,
    settings: Settings,
    *,
    reason: str,
    ledger: Ledger | None = None,
) -> tuple[Entry, bool]:
    """Approve a version and promote it.

    Args:
        version: None for the one that waits.
        ledger: of a run that was told so, as above.

    Returns:
        the ledger's entry of its promotion, and whether it is new.

    Raises:
        NotFoundError: nothing waits, or there is no such version.
        UsageError: a version that was rejected or rolled back is approved without a
            reason.
        PromotionError: never asked for, an experiment, not by this user, no passing
            evidence, or the champion is not the one it was compared with.
        IntegrityError: the version's file is gone or changed, or it answers otherwise,
            or the law wants a signature that it has not.
    """
    ledger = ledger or Ledger(settings.database_url)
    champion = ledger.champion(model)
    if champion is not None and version == champion.version.version:
        return champion.entry, False
    request, last = _find(model, version, ledger)
    check_eyes(request, settings.user)
    rolled_back = ledger.was_rolled_back(model, request.version)
    if (rolled_back or last.action == "reject") and not reason.strip():
        decision = f"rolled back by {rolled_back.who}" if rolled_back else str(last)
        raise UsageError(
            f"Version {last.version} of {model} was {decision}.",
            "To approve it all the same, say why with --reason TEXT.",
        )
    row = ledger.version(model, request.version)
    evidence = evidence_to_approve(ledger, request, champion)
    require_sound(row, settings)
    require_signed(row, settings, ledger)
    # An approval before a rollback, or of earlier evidence, no longer counts.
    if rolled_back or not is_approved(last, evidence):
        values = {"who": settings.user, "why": reason, "evidence_id": evidence.id}
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
    keep_decision(model, settings, ledger)
    return entry, is_new


def reject(
    model: str,
    version: int | None,
    settings: Settings,
    *,
    reason: str,
    ledger: Ledger | None = None,
) -> Approval:
    """Reject a version: no run asks for it again.

    Args:
        version: None for the one that waits.
        ledger: of a run that was told so, as above.

    Raises:
        NotFoundError: nothing waits, or there is no such version.
        UsageError: no reason is given.
        PromotionError: never asked for, not by this user, or it is the champion.
    """
    if not reason.strip():
        raise UsageError("A rejection needs a reason.", "Give it with --reason TEXT.")
    ledger = ledger or Ledger(settings.database_url)
    request, last = _find(model, version, ledger)
    champion = ledger.champion(model)
    if champion is not None and champion.version.version == request.version:
        raise PromotionError(
            f"Version {request.version} of {model} is the champion already.",
            f"Take it back with `headrace rollback {model} --reason TEXT`.",
        )
    check_eyes(request, settings.user)
    values = {"who": settings.user, "why": reason, "evidence_id": last.evidence_id}
    answer = ledger.add_approval(last.answer("reject", **values))
    keep_decision(model, settings, ledger)
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


def promote_by_hand(
    model: str,
    version: int | None,
    settings: Settings,
    *,
    force: bool,
    reason: str,
    judge: Judge | None = None,
) -> tuple[Entry, bool]:
    """Promote a version whose evidence passes, or any with ``force`` and a reason.

    The evidence must be against today's champion and no experiment's. With ``force``,
    the project from which it is promoted judges the model from then on, if it has
    judged the version in an experiment; the champion can be promoted again for that.

    Args:
        model: its name.
        version: None for the newest.
        settings: where the ledger and MLflow are.
        force: do without passing evidence.
        reason: why; a forced promotion needs one.
        judge: finds or makes the evidence for a version against a champion; by
            default only the ledger's is used.

    Returns:
        the ledger's entry, and whether it is new.

    Raises:
        NotFoundError: there is no such model or version.
        PromotionError: no passing evidence, or another promotion came first.
        IntegrityError: the version's file is gone or changed, or it answers otherwise,
            or the law wants a signature that it has not.
    """
    ledger = Ledger(settings.database_url)
    champion = ledger.champion(model)
    before = champion.entry.sequence if champion else 0
    if version is None:
        version = ledger.newest_version(model).version
    row = ledger.version(model, version)
    number, taken = None, _take_over(ledger, row, settings) if force else None
    is_champion = champion is not None and champion.version.version == row.version
    if not force and not is_champion:
        _check_approval(ledger, row)
        now = champion.version.version if champion else None
        require = ledger.require_evidence
        evidence = judge(row, champion) if judge else require(model, row.version, now)
        _check_mode(ledger, evidence)
        number = evidence.id
    require_sound(row, settings)
    require_signed(row, settings, ledger)
    entry, is_new = ledger.promote(
        model,
        row.version,
        who=settings.user,
        why=reason,
        expected_sequence=before,
        forced=force,
        evidence_id=taken.id if taken else number,
        again=taken is not None,
    )
    if taken and is_new:
        project = str(taken.law.get("project", ""))
        ledger.record({project_of(model): project}, settings.user)
        name = project or "a project without an id"
        log.warning("from now on, %s is judged by the file of %s", model, name)
    keep_decision(model, settings, ledger)
    return entry, is_new


def _take_over(ledger: Ledger, row: Version, settings: Settings) -> Evidence | None:
    """The last experiment with a version by this project, if another one judges it."""
    try:
        file = project_file(find_pipeline(row.model, settings))
    except NotFoundError:
        return None
    project = project_id(file)
    if project == ledger.recorded(project_of(row.model)):
        return None
    own = (
        evidence
        for evidence in reversed(ledger.evidence_of(row.model, row.version))
        if "project" in evidence.overrides
        and evidence.law.get("project", "") == project
    )
    return next(own, None)


def _check_approval(ledger: Ledger, row: Version) -> None:
    """Raise PromotionError if a person was asked and has not approved it as it is."""
    approval = ledger.approval(row.model, row.version)
    if approval is None:
        return
    state = "waits for approval" if approval.action == "request" else f"was {approval}"
    if approval.action == "approve":
        rolled_back = ledger.was_rolled_back(row.model, row.version)
        if rolled_back is None:
            return
        state += f", but was rolled back by {rolled_back.who} since"
    raise PromotionError(
        f"Version {row.version} of {row.model} {state}.",
        f"Decide with `headrace approve {row.model} {row.version} --reason TEXT`, or "
        "overrule with --force --reason TEXT.",
    )


def _check_mode(ledger: Ledger, evidence: Evidence) -> None:
    """Raise PromotionError if this evidence lacks the approval that the law wants."""
    promotion = evidence.law.get("committed", {}).get("promotion", {})
    model, version = evidence.model, evidence.version
    approval = ledger.approval(model, version)
    if approval is None and promotion.get("mode") == "approval":
        raise PromotionError(
            f"The pipeline file of {model} wants an approval (promotion.mode), and "
            f"nobody was asked to approve version {version}.",
            f"Run `headrace run {model}`, which asks, or overrule with --force "
            "--reason TEXT.",
        )
    if approval is not None and not is_approved(approval, evidence):
        raise PromotionError(
            f"Version {version} of {model} was {approval}, and evaluated anew since.",
            f"Decide again with `headrace approve {model} {version}`, or overrule with "
            "--force --reason TEXT.",
        )


def roll_back(model: str, settings: Settings, *, reason: str) -> Entry:
    """Return to the previous champion, after checking that its model loads.

    Raises:
        NotFoundError: the model has no version.
        PromotionError: there is none, or another entry came first.
        IntegrityError: the old model is gone or changed, or it answers otherwise, or
            the law wants a signature that it has not.
    """
    ledger = Ledger(settings.database_url)
    ledger.newest_version(model)
    now, user = ledger.sequence(model), settings.user
    target = ledger.rollback_target(model)
    require_sound(target, settings)
    require_signed(target, settings, ledger)
    entry = ledger.rollback(model, who=user, why=reason, expected_sequence=now)
    keep_decision(model, settings, ledger)
    return entry
