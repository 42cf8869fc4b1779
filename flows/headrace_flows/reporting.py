"""The report of a run as an HTML page, logged with its MLflow run."""

from __future__ import annotations

import logging

from headrace.use.reporting import Outcome, log_report
from headrace_flows.run import Run
from headrace_flows.summary import page_links

log = logging.getLogger("headrace")


def log_page(run: Run) -> None:
    """Log the report of a run that has come to its end.

    What stands in the way is logged: the run is not worse for it.
    """
    try:
        _log_page(run)
    except Exception as error:  # of MLflow, of the template, and all below them
        log.warning("the run has no report: %s: %s", type(error).__name__, error)


def _log_page(run: Run) -> None:
    snapshot, contract, training = run.snapshot, run.contract, run.training
    evaluation, promotion = run.evaluation, run.promotion
    if not (snapshot and contract and training and evaluation and promotion):
        return
    outcome = Outcome(
        run.spec,
        snapshot,
        contract,
        training,
        evaluation,
        promotion,
        run.registration.version if run.registration else None,
        run.plan.law.overrides,
        page_links(run),
    )
    log_report(outcome, run.plan.settings, run.plan.ledger)
