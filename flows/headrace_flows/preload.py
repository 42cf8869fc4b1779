"""What is done while the server of the run starts: early refusals, and imports."""

from __future__ import annotations

import gc
import importlib

from headrace.models import check_arguments, find_builder
from headrace.use.checking import check_gates
from headrace_flows.run import Run


def preload(run: Run) -> None:
    """Refuse what can be refused at once; import what the stages with work to do need.

    Raises:
        Refusal: the source cannot be opened.
        UsageError: the builder, a kind of gate or its arguments do not fit.
        DependencyError: MLflow cannot be reached; better told now than after an hour.
    """
    run.check_source()
    builder = find_builder(run.plan.builder, run.plan.folder)
    check_arguments(run.plan.builder, builder, run.spec.model.arguments)
    check_gates(run.spec)
    gc.disable()  # all that is imported stays: looking for garbage in it takes seconds
    try:
        _import(run)
    finally:
        gc.freeze()
        gc.enable()


def _import(run: Run) -> None:
    last = run.plan.last
    from headrace.state.tracking import Tracking

    Tracking(run.plan.settings).experiment(run.spec.name)
    if last.contract is None:
        importlib.import_module("headrace.stages.validation.suite").load()
    if last.evaluation is None and (last.contract or not last.snapshot):
        from headrace.backend import load_backend

        load_backend(minimal=True)
    importlib.import_module("headrace_flows.train")
