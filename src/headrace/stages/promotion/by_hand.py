"""Promotion by command: of a version whose evidence passes or by force, and back."""

from __future__ import annotations

from collections.abc import Callable

from headrace.errors import PromotionError
from headrace.models.logged.checks import require_sound
from headrace.stages.promotion import is_approved, keep_decision
from headrace.stages.promotion.conditions import (
    require_licensed,
    require_signed,
    sign_if_wanted,
)
from headrace.state.home import Home
from headrace.state.ledger import (
    Champion,
    Entry,
    Evidence,
    Ledger,
    Version,
    check_reason,
)

Judge = Callable[[Version, Champion | None], Evidence]


def promote_by_hand(
    model: str,
    version: int | None,
    home: Home,
    *,
    force: bool,
    reason: str,
    judge: Judge | None = None,
) -> tuple[Entry, bool]:
    """Promote a version whose evidence passes, or any with ``force`` and a reason.

    The evidence must be against today's champion and no experiment's.

    Args:
        model: its name.
        version: None for the newest.
        force: do without passing evidence.
        reason: why; a forced promotion needs one.
        judge: finds or makes the evidence for a version against a champion; by
            default only the ledger's is used.

    Returns:
        the ledger's entry, and whether it is new.

    Raises:
        NotFoundError: there is no such model or version.
        UsageError: forced without a reason, or it must be signed and cannot be.
        PromotionError: no passing evidence, or another promotion came first; or the
            law allows other licences than its backbone has.
        IntegrityError: the version's file is gone or changed, or it answers otherwise.
    """
    if force:
        check_reason(reason)
    ledger, user = home.ledger, home.settings.user
    champion = ledger.champion(model)
    before = champion.entry.sequence if champion else 0
    if version is None:
        version = ledger.newest_version(model).version
    row = ledger.version(model, version)
    number = None
    is_champion = champion is not None and champion.version.version == row.version
    if not force and not is_champion:
        _check_approval(ledger, row)
        now = champion.version.version if champion else None
        require = ledger.require_evidence
        evidence = judge(row, champion) if judge else require(model, row.version, now)
        _check_mode(ledger, evidence)
        require_licensed(row, evidence, home)
        number = evidence.id
    require_sound(row, home)
    sign_if_wanted(row, home)
    entry, is_new = ledger.promote(
        model,
        row.version,
        who=user,
        why=reason,
        expected_sequence=before,
        forced=force,
        evidence_id=number,
    )
    keep_decision(model, home)
    return entry, is_new


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


def roll_back(model: str, home: Home, *, reason: str) -> Entry:
    """Return to the previous champion, after checking that its model loads.

    Raises:
        NotFoundError: the model has no version.
        PromotionError: there is none, or another entry came first.
        IntegrityError: the old model is gone or changed, or it answers otherwise, or
            its signature does not hold.
        UsageError: it must be signed, and no public key is set.
    """
    ledger = home.ledger
    ledger.newest_version(model)  # raises NotFoundError
    now, user = ledger.sequence(model), home.settings.user
    target = ledger.rollback_target(model)
    require_sound(target, home)
    require_signed(target, home)
    entry = ledger.rollback(model, who=user, why=reason, expected_sequence=now)
    keep_decision(model, home)
    return entry
