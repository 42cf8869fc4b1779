"""Promotion and rollback by command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, PromotionError
from headrace.ledger import Entry, Ledger
from headrace.promotion.aliases import project_aliases

if TYPE_CHECKING:
    from headrace.settings import Settings


def promote_by_hand(
    model: str, version: int | None, settings: Settings, *, force: bool, reason: str
) -> tuple[Entry, bool]:
    """Promote a version whose evidence passes, or any with ``force`` and a reason.

    Args:
        version: None for the newest.

    Returns:
        the ledger's entry, and whether it is new.

    Raises:
        NotFoundError: there is no such model or version.
        PromotionError: no passing evidence, or another promotion came first.
        IntegrityError: the version's file is gone or changed.
    """
    from headrace.tracking import Tracking

    ledger = Ledger(settings.database_url)
    before = ledger.sequence(model)
    if version is None:
        versions = ledger.versions(model)
        if not versions:
            raise NotFoundError(
                f"The model {model!r} has no version.",
                f"Known models: {', '.join(ledger.models()) or 'none'}.",
            )
        version = versions[-1].version
    row = ledger.version(model, version)
    approval = ledger.approval(model, version)
    if approval is not None and approval.action != "approve" and not force:
        said = (
            "waits for approval" if approval.action == "request" else f"was {approval}"
        )
        raise PromotionError(
            f"Version {version} of {model} {said}.",
            f"Decide with `headrace approve {model} {version} --reason TEXT`, or "
            "overrule with --force --reason TEXT.",
        )
    tracking = Tracking(settings)
    with tracking.model_file(row.model_uri, row.model_digest):
        entry = ledger.promote(
            model,
            version,
            who=settings.user,
            why=reason,
            expected_sequence=before,
            forced=force,
        )
    project_aliases(model, ledger, tracking)
    return entry, entry.sequence > before


def roll_back(model: str, settings: Settings, *, reason: str) -> Entry:
    """Return to the champion before this one, once its model has been loaded.

    Raises:
        PromotionError: there is none, or another entry came first.
        IntegrityError: the old model is gone, changed or does not load.
    """
    from headrace.serving import load_version
    from headrace.tracking import Tracking

    ledger = Ledger(settings.database_url)
    before = ledger.sequence(model)
    tracking = Tracking(settings)
    load_version(tracking, ledger.rollback_target(model))
    entry = ledger.rollback(
        model, who=settings.user, why=reason, expected_sequence=before
    )
    project_aliases(model, ledger, tracking)
    return entry
