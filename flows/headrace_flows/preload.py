"""Imports what the stages will need, while the server of the run starts beside it."""

from __future__ import annotations

import gc
import importlib

from headrace_flows.run import Run


def preload(run: Run) -> None:
    """Import the libraries of the stages that have work to do, and reach MLflow.

    Raises:
        DependencyError: MLflow cannot be reached; better told now than after an hour.
    """
    gc.disable()  # all that is imported stays: looking for garbage in it takes seconds
    try:
        _import(run)
    finally:
        gc.freeze()
        gc.enable()


def _import(run: Run) -> None:
    kept = run.plan.kept
    from headrace.tracking import Tracking

    Tracking(run.plan.settings).experiment(run.spec.name)
    if kept.contract is None:
        importlib.import_module("headrace.validation.suite").load()
    if kept.evaluation is None and (kept.contract or not kept.snapshot):
        from headrace.backend import load_backend

        load_backend(alone=True)
    importlib.import_module("headrace_flows.train")
