"""The parameters that a pipeline file sets for its flows, and places among them."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import ConfigDict, Field, ValidationError, create_model

from headrace.display.credentials import schema_pattern
from headrace.errors import SpecError
from headrace.imports import extensions
from headrace.pipeline import PipelineSpec
from headrace.pipeline.checks import absolute_source
from headrace.pipeline.deploy import DeploySpec

_OWN = ("pipeline", "folder")  # those that a deployment gives itself
# A path, a URI or ``library:name``. Prefect keeps the parameters of a run: it refuses
# one with a credential in it.
Place = Annotated[str, Field(json_schema_extra={"pattern": schema_pattern()})]
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def check_parameters(spec: PipelineSpec, deploy: DeploySpec, folder: Path) -> None:
    """Check the parameters that a pipeline sets, by the types of its flows.

    Args:
        spec: the pipeline.
        deploy: its table ``[deploy]``.
        folder: its folder.

    Raises:
        SpecError: a flow does not have one, or its value does not fit.
        UsageError: a place in one holds a credential.
    """
    for flow, table in {"train": deploy, **deploy.flows}.items():
        if not table.parameters:  # Prefect takes a second to load
            continue
        loaded = find_flow(flow)
        every = inspect.signature(loaded.fn).parameters.values()
        taken = [p.name for p in every if p.kind in _NAMED and p.name not in _OWN]
        for name in table.parameters:
            if name not in taken:
                raise SpecError(
                    f"The flow {flow} has no parameter {name!r} for {spec.name} to "
                    "set.",
                    f"Its parameters are: {', '.join(taken) or 'none'}.",
                )
        absolute_places(loaded, table.parameters, folder)
        hints = get_type_hints(loaded.fn, include_extras=True)
        for name, value in table.parameters.items():
            if problem := _problem(hints.get(name, Any), value):
                key = "parameters" if flow == "train" else f"flows.{flow}.parameters"
                raise SpecError(
                    f"{spec.name}: deploy.{key}.{name} is {value!r}, which the flow "
                    f"{flow} does not take.",
                    f"{problem}.",
                )


def _problem(hint: Any, value: Any) -> str:
    """Why a value is none of a type; empty if it is one."""
    config = ConfigDict(arbitrary_types_allowed=True)
    try:
        create_model("typed", __config__=config, value=(hint, ...))(value=value)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return ""


def find_flow(name: str) -> Any:
    """Prefect's flow object of a name, such as ``train``."""
    return getattr(extensions.load("flows", name), name)


def absolute_places(
    flow: Any, parameters: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Parameters whose relative paths begin in a folder, as those of ``data.source``.

    A worker runs a flow in a folder of its own.

    Args:
        flow: Prefect's flow object.
        parameters: by name.
        folder: of the pipeline.

    Raises:
        UsageError: a place holds a credential.
    """
    hints = get_type_hints(flow.fn, include_extras=True)
    return {
        name: absolute_source(value, folder, f"The parameter {name}")
        if hints.get(name) == Place and isinstance(value, str) and value
        else value
        for name, value in parameters.items()
    }
