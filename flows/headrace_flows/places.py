"""Parameters of flows that are places of data: a path, a URI or ``library:name``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_type_hints

from pydantic import Field

from headrace.credentials import schema_pattern
from headrace.spec.checks import absolute_source

# Prefect keeps the parameters of a run: it refuses one with a credential in it.
Place = Annotated[str, Field(json_schema_extra={"pattern": schema_pattern()})]


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
