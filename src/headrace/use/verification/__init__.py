"""Walks all that the ledger vouches for, and names the first thing that does not fit.

The ledger itself first, then the files of the store in the order of their recording,
then the models and what MLflow says of them. Changes nothing.

What is absent from the store is made again when it is needed, so it is counted and no
problem; only a champion must have its data, and its model.
"""

from __future__ import annotations

import logging
import time

from headrace.errors import NotFoundError
from headrace.settings import Settings
from headrace.state.ledger import Ledger
from headrace.state.store import Store
from headrace.use.verification.files import check_files
from headrace.use.verification.models import check_forgotten, check_models
from headrace.use.verification.report import Broken, Problem, Report, Verification

__all__ = ["Problem", "Verification", "verify"]

log = logging.getLogger("headrace")


def verify(settings: Settings, model: str = "", head: str = "") -> Verification:
    """Hold everything against the ledger.

    Args:
        settings: where the ledger, the store and MLflow are.
        model: only what belongs to it; the ledger is walked as a whole.
        head: a last link of the ledger's chain that was kept; it must still be there.

    Raises:
        NotFoundError: there is no such model, or no home.
        DependencyError: the ledger, the store or MLflow does not answer.
    """
    started = time.perf_counter()
    if settings.home.is_dir():
        settings.prepare_home()
    elif settings.database_url == f"sqlite:///{settings.home.absolute()}/headrace.db":
        raise NotFoundError(
            f"There is no home at {settings.home}, so there is nothing to verify.",
            "Set HEADRACE_HOME to the home that is meant.",
        )
    ledger = Ledger(settings.database_url)
    models = ledger.models()
    if model and model not in models:
        raise NotFoundError(
            f"The model {model!r} has no version.",
            f"Known models: {', '.join(models) or 'none'}.",
        )
    chosen = [model] if model else models
    report, problem = Report(), None
    log.info("verify: the ledger")
    chain = ledger.walk_chain(head)
    try:
        if chain.problem:
            raise Broken(
                "ledger",
                f"{settings.database_url}: {chain.problem}",
                "Somebody has written to the ledger's database. Restore it from a "
                "backup, and change who may write there.",
            )
        golden = check_files(Store(settings.store), ledger, model, chosen, report)
        check_models(settings, ledger, chosen, golden, report)
        if not model and _has_own_registry(settings):
            check_forgotten(settings, ledger)
    except Broken as broken:
        problem = broken.problem
    counts = ", ".join(f"{n:,} {kind}" for kind, n in report.checked.items())
    reason = f"everything fits the ledger ({counts or 'its rows'})"
    if problem is not None:
        reason = f"{problem.what} {problem.action}"
    return Verification(
        status="ok" if problem is None else "broken",
        reason=reason,
        model=model or None,
        chain={"rows": chain.rows, "head": chain.head},
        checked=report.checked,
        missing=report.missing,
        adopted=tuple(ledger.adoptions()),
        problem=problem,
        seconds=round(time.perf_counter() - started, 3),
    )


def _has_own_registry(settings: Settings) -> bool:
    """Whether MLflow's database is the home's, which no other ledger shares."""
    if settings.tracking_uri != settings.home_tracking_uri:
        return False
    is_sqlite = settings.home_tracking_uri.startswith("sqlite")
    return not is_sqlite or (settings.home / "mlflow.db").is_file()
