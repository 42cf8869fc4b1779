"""Checks everything against the ledger, and reports the first mismatch.

The ledger's chain is checked first, then the files of the store in the order of their
recording, then the models, their tags and aliases in MLflow. Nothing is changed.

Files that are missing from the store are counted. They are no problem, since they are
made again when needed. Only a champion must have its data and its model.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Literal

from headrace.errors import NotFoundError
from headrace.evidence.verification.checks import Broken, Checks, Problem
from headrace.evidence.verification.signatures import Signatures, check_ledger
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.signing.keys import TrustedKeys, trusted_keys

_MEND_SIGNED = (
    "Find out who has written to the ledger's database, and restore it from a backup. "
    "If you trust the other key, add its public key to HEADRACE_VERIFY_KEY_FILE."
)
log = logging.getLogger("headrace")


class Verification(Record):
    """The result of a verification.

    Attributes:
        model: the only model that was checked; None for all.
        chain: ``rows``, the number of rows in the chain, and ``head``, the last link.
            A copy kept elsewhere shows later whether the ledger was rewritten.
        signatures: of the chain's links, and whether they were checked.
        checked: how many of each kind are as recorded.
        missing: how many of each kind are no longer in the store or MLflow.
        collected: how many of each kind `headrace gc` has deleted and recorded.
        forgotten: by split, how many rows `headrace forget` has taken out of snapshots
            that are still there.
        warnings: what fits and needs a look: wrong verdicts that no champion rests on,
            and entries that are dated before the one above them.
        seconds: the duration.
    """

    status: Literal["ok", "broken"]
    reason: str
    model: str | None
    chain: dict[str, Any]
    signatures: Signatures
    checked: dict[str, int]
    missing: dict[str, int]
    collected: dict[str, int]
    forgotten: dict[str, int]
    warnings: tuple[str, ...] = ()
    problem: Problem | None
    seconds: float


def verify(
    settings: Settings,
    model: str = "",
    head: str = "",
    trusted: TrustedKeys | None = None,
) -> Verification:
    """Check everything against the ledger.

    Args:
        settings: where the ledger, the store and MLflow are.
        model: check only what belongs to it; the whole ledger is checked anyway.
        head: an earlier last link of the ledger's chain, which must still be in it.
        trusted: the keys whose signatures count; by default those of the settings.

    Raises:
        NotFoundError: there is no such model, or no home.
        UsageError: a key of the settings cannot be used.
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    started = time.perf_counter()
    if settings.home.is_dir():
        settings.prepare_home()
    elif settings.database_url == f"sqlite:///{settings.home.absolute()}/headrace.db":
        raise NotFoundError(
            f"There is no home at {settings.home}, so there is nothing to verify.",
            "Set HEADRACE_HOME to the right folder.",
        )
    ledger = Ledger(settings.database_url)
    if model:
        ledger.newest_version(model)  # raises NotFoundError
    chosen = [model] if model else ledger.models()
    trusted = trusted_keys(settings) if trusted is None else trusted
    checks, problem = Checks(settings, ledger, trusted), None
    log.info("verify: the ledger")
    chain = ledger.walk_chain(head)
    signatures, unsigned = check_ledger(settings, ledger, trusted)
    try:
        if chain.problem:
            raise Broken(
                "ledger",
                f"{settings.database_url}: {chain.problem}.",
                "Somebody has written to the ledger's database. Restore it from a "
                "backup, and change who may write there.",
            )
        if unsigned:
            raise Broken(
                "ledger", f"{settings.database_url}: {unsigned}.", _MEND_SIGNED
            )
        checks.check_decisions(chosen)
        if not model:
            checks.count_collected(chosen)
        checks.check_files(model, chosen)
        checks.check_models(chosen)
        if not model and _has_own_registry(settings):
            checks.check_forgotten()
    except Broken as broken:
        problem = broken.problem
    counts = ", ".join(f"{n:,} {kind}" for kind, n in checks.checked.items())
    reason = f"everything fits the ledger ({counts or 'its rows'})"
    if problem is not None:
        reason = f"{problem.what} {problem.action}"
    return Verification(
        status="ok" if problem is None else "broken",
        reason=reason,
        model=model or None,
        chain={"rows": chain.rows, "head": chain.head},
        signatures=signatures,
        checked=checks.checked,
        missing=checks.missing,
        collected=checks.collected,
        forgotten=checks.forgotten,
        warnings=tuple(checks.warnings),
        problem=problem,
        seconds=round(time.perf_counter() - started, 3),
    )


def _has_own_registry(settings: Settings) -> bool:
    """Whether MLflow's database is the home's own, not shared with other ledgers."""
    if settings.tracking_uri != settings.home_tracking_uri:
        return False
    is_sqlite = settings.home_tracking_uri.startswith("sqlite")
    return not is_sqlite or (settings.home / "mlflow.db").is_file()
