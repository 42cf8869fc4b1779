"""The pipeline file, read and checked with pydantic alone.

It says what to learn, and is versioned; where that runs is in ``headrace.settings``.
"""

from headrace.spec.files import load_spec
from headrace.spec.pipeline import GateSpec, PipelineSpec
from headrace.spec.tables import DataSpec, EvaluationSpec
from headrace.spec.training import TrainingSpec

__all__ = [
    "DataSpec",
    "EvaluationSpec",
    "GateSpec",
    "PipelineSpec",
    "TrainingSpec",
    "load_spec",
]
