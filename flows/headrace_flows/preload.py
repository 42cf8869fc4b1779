"""Imports what the stages will need, while the server of the run starts beside it."""

from __future__ import annotations

import importlib

from headrace.records import ContractRecord, SnapshotRecord, TrainingRecord
from headrace_flows.run import Run


def preload(run: Run) -> None:
    """Import the libraries of the stages that have work to do, and reach MLflow.

    Raises:
        DependencyError: MLflow cannot be reached; better told now than after an hour.
    """
    plan = run.plan
    snapshot = plan.find(plan.ingest(), SnapshotRecord)
    contract = training = None
    if snapshot is not None:
        contract = plan.find(plan.validate(snapshot), ContractRecord)
    if snapshot is not None and contract is not None:
        training = plan.find(plan.train(snapshot, contract), TrainingRecord)
    from headrace.tracking import Tracking

    Tracking(plan.settings).experiment(run.spec.name)
    if contract is None:
        importlib.import_module("headrace.validation.suite").load()
    if training is None:
        from headrace.backend import load_backend

        load_backend()
    importlib.import_module("headrace_flows.train")
