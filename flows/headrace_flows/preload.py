"""What is done while the server of the run starts: early refusals, and imports."""

from __future__ import annotations

import gc
import importlib
import logging

from headrace import extensions
from headrace.models import builder_names, check_arguments, find_builder
from headrace.models.logged.serving_check import keep_spare
from headrace.use.checking import check_gates
from headrace_flows.run import Run

log = logging.getLogger("headrace")


def preload(run: Run) -> None:
    """Refuse what can be refused at once; import what the stages with work to do need.

    Raises:
        Refusal: the source cannot be opened.
        UsageError: the builder, a kind of gate or its arguments do not fit.
        DependencyError: MLflow cannot be reached; better told now than after an hour.
    """
    run.check_source()
    check_gates(run.spec)
    if _is_of_headrace(run.plan.builder):
        _check_builder(run)  # at once
    gc.disable()  # all that is imported stays: looking for garbage in it takes seconds
    try:
        _load(run)
    finally:
        gc.freeze()
        gc.enable()


def _is_of_headrace(builder: str) -> bool:
    return builder in builder_names() and not extensions.is_added("models", builder)


def _check_builder(run: Run) -> None:
    builder = find_builder(run.plan.builder, run.plan.folder)
    check_arguments(run.plan.builder, builder, run.spec.model.arguments)


def _load(run: Run) -> None:
    last = run.plan.last
    log.info("start: loading the libraries that this run needs")
    if last.evaluation is None and (last.contract or not last.snapshot):
        keep_spare()  # first: the process knows what is loaded before it
    if not _is_of_headrace(run.plan.builder):
        _check_builder(run)
    from headrace.state.tracking import Tracking

    Tracking(run.plan.settings).experiment(run.spec.name)
    if last.contract is None:
        importlib.import_module("headrace.stages.validation.suite").load()
    importlib.import_module("headrace_flows.train")
