"""What can be checked of a pipeline's builder before there is any data."""

from __future__ import annotations

from pathlib import Path

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
    if name.isidentifier():
        return ""
    description = declared(spec)
    if description is None:
        return f"; {name} was imported, not built: [data] does not declare all it needs"
    from headrace.backend import load_backend

    load_backend(alone=True)
    _, network = build(name, description, spec.model.arguments, folder)
    return (
        f"; {name} was built on items of shape {description.shape}: "
        f"{network.count_params():,} weights"
    )


def declared(spec: PipelineSpec) -> DataDescription | None:
    """The data as the spec declares it; None where only the data itself would say."""
    from headrace.media import medium
    from headrace.tasks import task

    form = medium(spec.medium).form_of(spec.data)
    target = task(spec.task).labels.describe((), spec.data)
    if not form.shape or not all(target.values()):
        return None
    return DataDescription(
        medium=spec.medium, task=spec.task, target=target, **form.model_dump()
    )
