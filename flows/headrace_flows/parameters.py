"""The parameters that a pipeline file sets for its flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from headrace import extensions
from headrace.errors import SpecError
from headrace.spec import PipelineSpec
from headrace.spec.tables import DeploySpec
from headrace_flows.places import absolute_places

OWN = ("pipeline", "folder")  # those that a deployment gives itself


def check_parameters(spec: PipelineSpec, deploy: DeploySpec, folder: Path) -> None:
    """Check the parameters that a pipeline sets, by the types of its flows.

    Args:
        spec: the pipeline.
        deploy: its table ``[deploy]``.
        folder: its folder.

    Raises:
        SpecError: a flow does not have one, or it does not fit.
        UsageError: a place in one holds a credential.
    """
    for flow, table in {"train": deploy, **deploy.flows}.items():
        if not table.parameters:  # Prefect takes a second to load
            continue
        found = find_flow(flow)
        hints = get_type_hints(found.fn)
        taken = [name for name in hints if name not in {*OWN, "return"}]
        for name, value in table.parameters.items():
            if name not in taken:
                raise SpecError(
                    f"The flow {flow} has no parameter {name!r} for {spec.name} to "
                    "set.",
                    f"Its parameters are: {', '.join(taken) or 'none'}.",
                )
            try:
                TypeAdapter(hints[name]).validate_python(value)
            except ValidationError as error:
                key = "parameters" if flow == "train" else f"flows.{flow}.parameters"
                raise SpecError(
                    f"{spec.name}: deploy.{key}.{name} is {value!r}, which the flow "
                    f"{flow} does not take.",
                    f"{error.errors()[0]['msg']}.",
                ) from None
        absolute_places(found, table.parameters, folder)


def find_flow(name: str) -> Any:
    """Prefect's flow object of a name, such as ``train``."""
    return getattr(extensions.load("flows", name), name)
