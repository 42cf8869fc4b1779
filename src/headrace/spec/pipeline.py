"""A whole pipeline file."""

from __future__ import annotations

import ast
import functools
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from headrace.spec.gates import GateSpec, default_gates
from headrace.spec.tables import (
    ContractRow,
    DataSpec,
    DeploySpec,
    EvaluationSpec,
    ModelSpec,
    PromotionSpec,
    Table,
    TrainingSpec,
)

_MEDIA = Path(__file__).parents[1] / "media"
_MODELS = Path(__file__).parents[1] / "models"


def media_names() -> list[str]:
    """The media that there are: the packages in ``headrace.media``."""
    return sorted(place.parent.name for place in _MEDIA.glob("*/__init__.py"))


class PipelineSpec(Table):
    """All that a pipeline file says, with the defaults filled in."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    medium: str = Field(json_schema_extra={"enum": [*media_names()]})
    description: str = ""
    data: DataSpec
    contract: tuple[ContractRow, ...] = ()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gates: tuple[GateSpec, ...] = Field(default_factory=default_gates)
    promotion: PromotionSpec = PromotionSpec()
    deploy: DeploySpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_recipe(cls, values: Any) -> Any:
        """What the file does not say of training, the family of models does."""
        if not isinstance(values, dict) or values.get("medium") not in media_names():
            return values
        model, training = values.get("model", {}), values.get("training", {})
        if not (isinstance(model, dict) and isinstance(training, dict)):
            return values
        recipe = recipe_of(values["medium"], str(model.get("builder") or ""))
        return {**values, "training": {**recipe, **training}} if recipe else values

    @field_validator("medium")
    @classmethod
    def _medium_is_known(cls, name: str) -> str:
        if name not in media_names():
            raise ValueError(f"expected one of {', '.join(media_names())}")
        return name

    @field_validator("gates")
    @classmethod
    def _gates_differ(cls, gates: tuple[GateSpec, ...]) -> tuple[GateSpec, ...]:
        names = [gate.name for gate in gates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two gates share the name {twice[0]!r}")
        return gates


def default_builder(medium: str) -> str:
    """The family of models that a medium takes where none is named."""
    return str(constant(_MEDIA / medium / "__init__.py", "DEFAULT_BUILDER"))


def family_medium(builder: str) -> str:
    """The medium that a family is for; empty where there is no such family."""
    path = _MODELS / f"{builder}.py"
    known = builder.isidentifier() and path.is_file()
    return str(constant(path, "MEDIUM") or "") if known else ""


def recipe_of(medium: str, builder: str) -> dict[str, Any]:
    """The measured defaults of a family's training; none for a builder elsewhere."""
    builder = builder or default_builder(medium)
    if not family_medium(builder):
        return {}
    return dict(constant(_MODELS / f"{builder}.py", "RECIPE") or {})


def least_steps(builder: str) -> int:
    """Training steps that a family of models needs to settle, however few the rows."""
    return int(constant(_MODELS / f"{builder}.py", "LEAST_STEPS"))


@functools.cache
def constant(path: Path, name: str) -> Any:
    """A constant of a module, read without importing it; None where it has none.

    A spec is read by commands that load no library for data.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            return ast.literal_eval(node.value)
    return None
