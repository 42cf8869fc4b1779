"""What is done before a run's flow: early refusals, and imports while a server starts.

Great Expectations is imported by a process of its own, on another core. It does the
validation, and then draws pictures.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from headrace.imports import extensions, load_jsonschema
from headrace.models import builder_names, check_arguments, find_builder
from headrace.models.logged.serving_check import keep_spare
from headrace.pipeline.readme import read_readme
from headrace.stages.processes import beside
from headrace.stages.validation import suite
from headrace.state.tracking.connection import import_mlflow
from headrace.use.checking import check_gates
from headrace_flows.run import Run

log = logging.getLogger("headrace")


def check_early(run: Run) -> None:
    """Refuse what can be refused at once, before a server is started.

    Raises:
        Refusal: the source cannot be opened.
        UsageError: the builder, a kind of gate or its arguments do not fit, or the
            store cannot be written.
        DependencyError: the store's disk is full.
    """
    run.check_source()
    check_gates(run.spec)
    read_readme(run.spec, run.folder)  # refuses what is not UTF-8
    if _is_of_headrace(run.plan.builder):
        _check_builder(run)
    with run.plan.home.store.work_folder(""):
        pass  # refuses a store that cannot be written


@contextmanager
def preloaded(run: Run) -> Iterator[None]:
    """Import what the stages with work to do need.

    The process for the validation ends with the block.

    Raises:
        UsageError: the pipeline's own builder does not fit.
        DependencyError: MLflow cannot be reached; better told now than after an hour.
    """
    gc.disable()  # all that is imported stays: looking for garbage in it takes seconds
    try:
        with _loading(run):
            gc.freeze()
            gc.enable()
            yield
    finally:
        gc.enable()  # also after a refusal


@contextmanager
def validating(run: Run) -> Iterator[None]:
    """Fork the process that validates and draws, which ends with the block."""
    load = None if run.plan.last.contract else load_validation
    if load is not None:
        import pandas  # noqa: F401 (ingestion needs it, too)
    with beside(load) as run.beside:
        yield


def load_validation() -> None:
    """Load what the validation needs."""
    suite.load()
    import scipy.stats

    scipy.stats.ks_2samp  # noqa: B018 (Great Expectations has it loaded at first use)


def _is_of_headrace(builder: str) -> bool:
    return builder in builder_names() and not extensions.is_added("models", builder)


def _check_builder(run: Run) -> None:
    builder = find_builder(run.plan.builder, run.plan.folder)
    check_arguments(run.plan.builder, builder, run.spec.model.arguments)


@contextmanager
def _loading(run: Run) -> Iterator[None]:
    last = run.plan.last
    log.info("start: loading the libraries that this run needs")
    if last.evaluation is None and (last.contract or not last.snapshot):
        keep_spare()  # first: the process knows what is loaded before it
    if not _is_of_headrace(run.plan.builder):
        _check_builder(run)

    load_jsonschema()
    import_mlflow()  # first: Great Expectations needs much of what it imports
    with validating(run):
        run.plan.home.tracking.experiment(run.spec.name)
        import headrace_flows.train  # noqa: F401

        yield
