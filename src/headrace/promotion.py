"""The promotion stage, and promotion and rollback by hand.

The ledger decides; MLflow's aliases are put where the ledger says afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import NotFoundError, PromotionError
from headrace.ledger import Entry, Ledger
from headrace.records import EvaluationRecord, PromotionRecord, RegistrationRecord

if TYPE_CHECKING:
    from headrace.settings import Settings
    from headrace.spec import PipelineSpec
    from headrace.tracking import Tracking


def verdict(spec: PipelineSpec, evaluation: EvaluationRecord) -> PromotionRecord | None:
    """How a run ends by its gates alone; None where it may be promoted."""
    failed = [gate for gate in evaluation.gates if not gate.passed]
    hard = [gate for gate in failed if gate.kind != "champion"]
    if hard:
        reason = "; ".join(f"{gate.name}: {gate.reason}" for gate in hard)
        return PromotionRecord(status="refused", reason=reason)
    if failed:
        reason = f"champion kept: {failed[0].reason}"
        return PromotionRecord(status="registered", reason=reason)
    if not spec.gates:
        return PromotionRecord(status="registered", reason="there are no gates")
    if spec.promotion.mode == "manual":
        reason = "promotion.mode is manual: promote it by hand"
        return PromotionRecord(status="registered", reason=reason)
    return None


def conclude(
    spec: PipelineSpec,
    evaluation: EvaluationRecord,
    registration: RegistrationRecord,
    settings: Settings,
) -> PromotionRecord:
    """End a run: promote its version where gates, mode and history allow it."""
    decided = verdict(spec, evaluation)
    version = registration.version
    if version is None:
        return decided or PromotionRecord(status="refused", reason=registration.reason)
    from headrace.tracking import Tracking

    ledger = Ledger(settings.database_url)
    if decided is None:
        decided = _promote(spec.name, version, evaluation, ledger, settings)
    aliases = project_aliases(spec.name, ledger, Tracking(settings))
    return decided.model_copy(update={"aliases": aliases.get(version, ())})


def _promote(
    model: str,
    version: int,
    evaluation: EvaluationRecord,
    ledger: Ledger,
    settings: Settings,
) -> PromotionRecord:
    # Read before the history, so that no rollback can come between the two unseen.
    champion = ledger.champion(model)
    if champion is not None and champion.version.version == version:
        return PromotionRecord(
            status="promoted", reason=f"version {version} is the champion already"
        )
    rolled_back = ledger.was_rolled_back(model, version)
    if rolled_back is not None:
        reason = (
            f"version {version} was rolled back by {rolled_back.who}"
            f"{f' ({rolled_back.why})' if rolled_back.why else ''}: promote it by hand"
        )
        return PromotionRecord(status="registered", reason=reason)
    now = champion.version.version if champion else None
    if now != evaluation.champion_version:
        reason = (
            f"champion kept: it is version {now}, and this was compared with "
            f"{evaluation.champion_version or 'none'}; run again"
        )
        return PromotionRecord(status="registered", reason=reason)
    told = [g.reason for g in evaluation.gates if g.kind == "champion"]
    why = "; ".join(["all gates hold", *told])
    try:
        ledger.promote(
            model,
            version,
            who=settings.user,
            why=why,
            expected_sequence=champion.entry.sequence if champion else 0,
        )
    except PromotionError as error:
        return PromotionRecord(
            status="registered", reason=f"champion kept: {error.message}"
        )
    return PromotionRecord(status="promoted", reason=why)


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


def aliases_of(model: str, ledger: Ledger) -> dict[str, int | None]:
    """The version of each alias, as the ledger has it.

    The challenger is the newest version, where that is not the champion and no gate
    but the comparison stands against it.
    """
    champion = ledger.champion(model)
    number = champion.version.version if champion else None
    newest = ledger.versions(model)[-1].version
    evidence = ledger.latest_evidence(model, newest)
    sound = evidence is not None and all(
        gate.passed or gate.kind == "champion" for gate in evidence.gates
    )
    challenger = newest if sound and newest != number else None
    return {"champion": number, "challenger": challenger}


def project_aliases(
    model: str, ledger: Ledger, tracking: Tracking
) -> dict[int, tuple[str, ...]]:
    """Put MLflow's aliases where the ledger says; returns them by version."""
    aliases = aliases_of(model, ledger)
    tracking.project_aliases(model, aliases)
    return {
        version: (alias,) for alias, version in aliases.items() if version is not None
    }
