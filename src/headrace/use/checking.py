"""Checks of a pipeline's own code before there is any data, and of its fit to data."""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import SpecError, did_you_mean
from headrace.imports import extensions
from headrace.imports.backend import load_backend
from headrace.media import check_form, form_of
from headrace.models import build, builder_name, check_arguments, find_builder
from headrace.pipeline import GateSpec, PipelineSpec
from headrace.pipeline.thresholds import threshold_problem
from headrace.records import ContractRecord, DataDescription, Finding, SnapshotRecord
from headrace.tasks import task
from headrace.tasks.learn import Fitting

if TYPE_CHECKING:
    from headrace.stages.fitting.data import TrainingData
    from headrace.state.home import Home

_SHOWN = 10


def check_builder(spec: PipelineSpec, folder: Path) -> str:
    """Import the builder; if it is the pipeline's own, build a network with it.

    That needs a declared form of the items and, for a classification, the classes. The
    families that come with Headrace are not built: it would only take time.

    Returns:
        what was done, for a sentence.

    Raises:
        SpecError: it cannot be imported, takes other arguments, or fails; or no item
            can have the form that is declared.
    """
    check_form(spec.data, spec.medium)
    name = builder_name(spec)
    check_arguments(name, find_builder(name, folder), spec.model.arguments)
    if name.isidentifier() and not extensions.is_added("models", name):
        return ""
    description = declared(spec)
    if description is None:
        return f"; {name} was imported, not built: [data] does not declare enough"
    load_backend(minimal=True)
    _, network = build(name, description, spec.model.arguments, folder)
    return (
        f"; {name} was built on items of shape {description.shape}: "
        f"{network.count_params():,} weights"
    )


def check_gates(spec: PipelineSpec) -> None:
    """Check the fields of each gate by its kind, or by the task.

    Raises:
        UsageError: they do not fit, or the kind's package is at fault.
    """
    for gate in spec.gates:
        _check_class(gate, spec)
        if gate.kind:
            from headrace.gates.kinds import check_gate  # loads SciPy

            check_gate(gate)
        elif gate.metric.startswith("membership_") and spec.evaluation.depth != "full":
            raise SpecError(
                f'The gate {gate.name!r} needs evaluation.depth = "full"; it is '
                f'"{spec.evaluation.depth}", which measures no membership inference.',
                'Write depth = "full" in [evaluation], or leave the gate out.',
            )
        elif gate.arguments and gate.name != "champion":
            task(spec.task).judge.check_gate(gate)


def doubtful_gates(spec: PipelineSpec) -> list[Finding]:
    """A warning for each gate whose threshold every model keeps, or none."""
    findings = []
    for gate in spec.gates:
        if gate.threshold is None:
            continue
        if problem := threshold_problem(gate, gate.threshold):
            message = f"the gate {gate.name!r} has the threshold {gate.threshold:g}"
            findings.append(Finding(check="gates", message=f"{message}: {problem}"))
    return findings


def missing_source(spec: PipelineSpec) -> list[Finding]:
    """A warning where nothing is at the local path of the data.

    The file may still be right: the data may be on another machine, or come later.
    """
    path = Path(spec.data.source)
    if not path.is_absolute() or os.path.lexists(path):  # `open_pipeline` made it so
        return []
    message = f"there is no data at {path} (data.source), which a run will refuse"
    return [Finding(check="source", message=message)]


def _check_class(gate: GateSpec, spec: PipelineSpec) -> None:
    """Refuse a metric of a class or tag that ``data.classes`` does not have."""
    slice_, _, _ = gate.metric.rpartition("/")
    kind, _, name = slice_.partition("=")
    classes = spec.data.classes
    if kind in ("class", "tag") and classes and name not in classes:
        raise SpecError(
            f"The gate {gate.name!r} has the metric {gate.metric!r}, and data.classes "
            f"has no {name!r}.",
            did_you_mean(
                name, classes, f"The classes are {', '.join(classes[:_SHOWN])}."
            ),
        )


def check_training(spec: PipelineSpec, folder: Path) -> str:
    """Make the loss, the metrics, the optimizer and the callbacks that are named.

    Returns:
        what was done, for a sentence.

    Raises:
        SpecError: one cannot be imported, or does not take its arguments.
    """
    training = spec.training
    if training.is_plain:
        return ""
    from headrace.stages.fitting.callbacks import Callbacks
    from headrace.stages.fitting.recipe import Objective, make_optimizer

    load_backend(minimal=True)
    Objective(task(spec.task), training, folder)
    Callbacks(training, folder, None, make_optimizer(training, 1, folder))
    return "; what [training] names can be made"


def check_privacy(spec: PipelineSpec, folder: Path) -> str:
    """Refuse a private training of a network, or on data, that cannot be private.

    Returns:
        what was done, for a sentence.

    Raises:
        SpecError: with the layer, or the field that is not declared.
        UsageError: a package is missing.
    """
    if spec.training.privacy is None:
        return ""
    from headrace.stages.fitting.privacy.plan import check_installed
    from headrace.stages.fitting.privacy.refusals import check_data, check_network

    check_installed()
    check_data(spec)
    description = declared(spec)
    if description is None:
        return "; whether its network can be private is seen when it is trained"
    load_backend(minimal=True)
    name = builder_name(spec)
    check_network(*build(name, description, spec.model.arguments, folder))
    return "; it can be trained privately"


def check_fit(
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    home: Home,
) -> None:
    """Refuse what a run refuses of checked data before it trains.

    Each network is built for these items and answers.

    Raises:
        SpecError: a builder or the training does not suit the data.
        Refusal: a private training has too many rows for their size.
    """
    from headrace.planning.candidates import candidates_of  # loads the ledger
    from headrace.stages.fitting.data import open_data

    load_backend()
    data = open_data(snapshot, contract, home)
    for one in candidates_of(spec, contract.rows):
        _check_network(one, folder, data)


def _check_network(spec: PipelineSpec, folder: Path, data: TrainingData) -> None:
    from headrace.stages.fitting.data import (
        check_patience,
        cut_of,
        form_in_memory,
        some_targets,
    )
    from headrace.stages.fitting.privacy.refusals import check_network, check_size
    from headrace.state import backbones

    description, recipe = data.description, spec.training
    check_patience(recipe, len(data.val.targets))
    arguments = spec.model.arguments
    if data.home is not None:
        arguments = backbones.arguments_of(spec, data.home)
    targets = partial(some_targets, data)
    name, head = builder_name(spec), task(spec.task).head
    preprocessing, network = build(name, description, arguments, folder, targets)
    head.check_training(network, recipe)
    if head.HAS_EXAMPLES:
        return
    fitting = Fitting(preprocessing, network, description, recipe)
    shape, dtype = form_in_memory(fitting, cut_of(network, recipe))
    if recipe.privacy is not None:
        check_network(preprocessing, network)
        rows = int(data.train.counts.sum())
        check_size(rows, math.prod(shape) * dtype.itemsize)


def declared(spec: PipelineSpec) -> DataDescription | None:
    """The data as the spec declares it; None if it does not declare enough."""
    form = form_of(spec.data, spec.medium)
    target = task(spec.task).labels.describe((), spec.data)
    if not form.shape or not all(target.values()):
        return None
    return DataDescription(
        medium=spec.medium, task=spec.task, target=target, **form.model_dump()
    )
