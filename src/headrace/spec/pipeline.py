"""A whole pipeline file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

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


class PipelineSpec(Table):
    """All that a pipeline file says, with the defaults filled in."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    medium: Literal["image"]
    description: str = ""
    data: DataSpec
    contract: tuple[ContractRow, ...] = ()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    gates: tuple[GateSpec, ...] = Field(default_factory=default_gates)
    promotion: PromotionSpec = PromotionSpec()
    deploy: DeploySpec | None = None

    @field_validator("gates")
    @classmethod
    def _gates_differ(cls, gates: tuple[GateSpec, ...]) -> tuple[GateSpec, ...]:
        names = [gate.name for gate in gates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two gates share the name {twice[0]!r}")
        return gates
