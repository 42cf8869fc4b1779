"""The pipeline file, read and checked with pydantic alone.

It says what to learn, and is versioned; where that runs is in ``headrace.settings``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headrace.pipeline.data import DataSpec
    from headrace.pipeline.files import load_spec
    from headrace.pipeline.gates import GateSpec
    from headrace.pipeline.spec import PipelineSpec
    from headrace.pipeline.tables import EvaluationSpec
    from headrace.pipeline.training import TrainingSpec

__all__ = [
    "DataSpec",
    "EvaluationSpec",
    "GateSpec",
    "PipelineSpec",
    "TrainingSpec",
    "load_spec",
]
_PLACES = {
    "files": ("load_spec",),
    "gates": ("GateSpec",),
    "spec": ("PipelineSpec",),
    "data": ("DataSpec",),
    "tables": ("EvaluationSpec",),
    "training": ("TrainingSpec",),
}


def __getattr__(name: str) -> Any:
    for module, names in _PLACES.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
