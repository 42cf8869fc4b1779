"""A pipeline file, read and checked. Needs nothing but pydantic.

What to learn is here and is versioned; where it runs is in ``settings``.
"""

from headrace.spec.files import FILE_NAME, load_spec, override, parse_override
from headrace.spec.gates import COMMON_GATES, GateSpec
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
    ContractRow,
    DataSpec,
    DeploySpec,
    EvaluationSpec,
    ModelSpec,
    PromotionSpec,
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
    "COMMON_GATES",
    "FILE_NAME",
    "ContractRow",
    "DataSpec",
    "DeploySpec",
    "EvaluationSpec",
    "GateSpec",
    "ModelSpec",
    "Named",
    "PipelineSpec",
    "PromotionSpec",
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
