"""Promotion and rollback by command."""

from __future__ import annotations

from collections.abc import Callable

from headrace.errors import NotFoundError, PromotionError
from headrace.models.logged.soundness.checks import require_sound
from headrace.settings import Settings
from headrace.stages.promotion import project_aliases
from headrace.state.ledger import Champion, Entry, Evidence, Ledger, Version
from headrace.state.tracking import Tracking

Judge = Callable[[Version, Champion | None], Evidence]


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

    The evidence must be against today's champion and no experiment's.

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
        IntegrityError: the version's file is gone or changed, or it answers otherwise.
    """
    ledger = Ledger(settings.database_url)
    champion = ledger.champion(model)
    before = champion.entry.sequence if champion else 0
    row = _version(model, version, ledger)
    number = None
    is_champion = champion is not None and champion.version.version == row.version
    if not force and not is_champion:
        _check_approval(ledger, row)
        now = champion.version.version if champion else None
        require = ledger.require_evidence
        evidence = judge(row, champion) if judge else require(model, row.version, now)
        _check_mode(ledger, evidence)
        number = evidence.id
    require_sound(row, settings)
    entry = ledger.promote(
        model,
        row.version,
        who=settings.user,
        why=reason,
        expected_sequence=before,
        forced=force,
        evidence_id=number,
    )
    project_aliases(model, ledger, Tracking(settings))
    return entry, entry.sequence > before


def _version(model: str, version: int | None, ledger: Ledger) -> Version:
    if version is not None:
        return ledger.version(model, version)
    versions = ledger.versions(model)
    if not versions:
        raise NotFoundError(
            f"The model {model!r} has no version.",
            f"Known models: {', '.join(ledger.models()) or 'none'}.",
        )
    return versions[-1]


def _check_approval(ledger: Ledger, row: Version) -> None:
    """Raise PromotionError if a person was asked and has not approved."""
    approval = ledger.approval(row.model, row.version)
    if approval is None or approval.action == "approve":
        return
    state = "waits for approval" if approval.action == "request" else f"was {approval}"
    raise PromotionError(
        f"Version {row.version} of {row.model} {state}.",
        f"Decide with `headrace approve {row.model} {row.version} --reason TEXT`, or "
        "overrule with --force --reason TEXT.",
    )


def _check_mode(ledger: Ledger, evidence: Evidence) -> None:
    """Raise PromotionError if the law requires an approval and nobody was asked."""
    promotion = evidence.law.get("committed", {}).get("promotion", {})
    model, version = evidence.model, evidence.version
    if promotion.get("mode") == "approval" and not ledger.approval(model, version):
        raise PromotionError(
            f"The pipeline file of {model} wants an approval (promotion.mode), and "
            f"nobody was asked to approve version {version}.",
            f"Run `headrace run {model}`, which asks, or overrule with --force "
            "--reason TEXT.",
        )


def roll_back(model: str, settings: Settings, *, reason: str) -> Entry:
    """Return to the previous champion, after checking that its model loads.

    Raises:
        PromotionError: there is none, or another entry came first.
        IntegrityError: the old model is gone or changed, or it answers otherwise.
    """
    ledger = Ledger(settings.database_url)
    now, user = ledger.sequence(model), settings.user
    require_sound(ledger.rollback_target(model), settings)
    entry = ledger.rollback(model, who=user, why=reason, expected_sequence=now)
    project_aliases(model, ledger, Tracking(settings))
    return entry
