"""What can be checked of a pipeline's own code before there is any data."""

from __future__ import annotations

from pathlib import Path

from headrace import extensions
from headrace.models import build, builder_name, check_arguments, find_builder
from headrace.records import DataDescription
from headrace.spec import PipelineSpec


def check_builder(spec: PipelineSpec, folder: Path) -> str:
    """Import the builder; build a network with one of the pipeline's own.

    That takes a declared form of the items and, for a classification, classes. The
    families that ship with Headrace are not built: it would only take time.

    Returns:
        what was done, for a sentence.

    Raises:
        SpecError: it cannot be imported, takes other arguments, or fails.
    """
    name = builder_name(spec)
    check_arguments(name, find_builder(name, folder), spec.model.arguments)
    if name.isidentifier() and not extensions.is_added("models", name):
        return ""
    description = declared(spec)
    if description is None:
        return f"; {name} was imported, not built: [data] does not declare all it needs"
    from headrace.backend import load_backend

    load_backend(minimal=True)
    _, network = build(name, description, spec.model.arguments, folder)
    return (
        f"; {name} was built on items of shape {description.shape}: "
        f"{network.count_params():,} weights"
    )


def check_gates(spec: PipelineSpec) -> None:
    """Have each kind that a gate names check the gate's fields.

    Raises:
        UsageError: they do not fit, or the kind's package is at fault.
    """
    for gate in spec.gates:
        if gate.kind:
            from headrace.gates.kinds import check_gate  # loads SciPy

            check_gate(gate)


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
    from headrace.backend import load_backend
    from headrace.stages.fitting.callbacks import Callbacks
    from headrace.stages.fitting.recipe import Objective, make_optimizer
    from headrace.tasks import task

    load_backend(minimal=True)
    Objective(task(spec.task), training, folder)
    Callbacks(training, folder, None, make_optimizer(training, 1, folder))
    return "; what [training] names can be made"


def declared(spec: PipelineSpec) -> DataDescription | None:
    """The data as the spec declares it; None where only the data itself would say."""
    from headrace.media import form_of
    from headrace.tasks import task

    form = form_of(spec.data, spec.medium)
    target = task(spec.task).labels.describe((), spec.data)
    if not form.shape or not all(target.values()):
        return None
    return DataDescription(
        medium=spec.medium, task=spec.task, target=target, **form.model_dump()
    )
