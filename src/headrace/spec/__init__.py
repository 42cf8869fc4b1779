"""The pipeline file, read and checked with pydantic alone.

It says what to learn, and is versioned; where that runs is in ``headrace.settings``.
"""

from headrace.spec.files import FILE_NAME, load_spec, override, parse_override
from headrace.spec.gates import GateSpec
from headrace.spec.pipeline import (
    PipelineSpec,
    default_builder,
    default_gates,
    family_medium,
    known_gates,
    least_steps,
    media_names,
    recipe_of,
    task_default,
    task_names,
)
from headrace.spec.tables import (
    DataSpec,
    DeploySpec,
    EvaluationSpec,
    FlowSpec,
    plain_label,
)
from headrace.spec.training import (
    CHECKPOINT_FIELDS,
    Named,
    TrainingSpec,
    is_own,
    keras_name,
    named,
)
from headrace.spec.values import refuse_credential

__all__ = [
    "CHECKPOINT_FIELDS",
    "FILE_NAME",
    "DataSpec",
    "DeploySpec",
    "EvaluationSpec",
    "FlowSpec",
    "GateSpec",
    "Named",
    "PipelineSpec",
    "TrainingSpec",
    "default_builder",
    "default_gates",
    "family_medium",
    "is_own",
    "keras_name",
    "known_gates",
    "least_steps",
    "load_spec",
    "media_names",
    "named",
    "override",
    "parse_override",
    "plain_label",
    "recipe_of",
    "refuse_credential",
    "task_default",
    "task_names",
]
