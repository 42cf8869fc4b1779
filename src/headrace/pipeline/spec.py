"""The pipeline file, with the defaults of medium, family and task filled in."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationInfo, field_validator, model_validator

from headrace.imports.extensions import constant, modules, task_default
from headrace.pipeline import tables
from headrace.pipeline.augment import find_misfit
from headrace.pipeline.data import DataSpec, fields_of, media_fields
from headrace.pipeline.deploy import DeploySpec
from headrace.pipeline.families import (
    default_builder,
    family_medium,
    family_yields,
    media_names,
    recipe_of,
    task_names,
    unused_fields,
)
from headrace.pipeline.gates import GateSpec, with_known_gates
from headrace.pipeline.privacy import NOT_PRIVATE
from headrace.pipeline.training import TrainingSpec
from headrace.records import DEFAULT_TASK


class PipelineSpec(tables.SpecTable):
    """A pipeline file with its defaults filled in."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    medium: str = Field(json_schema_extra={"enum": [*media_names()]})
    task: str = Field(default=DEFAULT_TASK, json_schema_extra={"enum": [*task_names()]})
    description: str = ""
    data: DataSpec
    contract: tuple[tables.ContractRow, ...] = ()
    model: tables.ModelSpec = tables.ModelSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: tables.EvaluationSpec = tables.EvaluationSpec()
    gates: tuple[GateSpec, ...] = ()
    promotion: tables.PromotionSpec = tables.PromotionSpec()
    deploy: DeploySpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Fill in the defaults of the family of models and of the task."""
        if not isinstance(values, dict):
            return values
        task = values.get("task", DEFAULT_TASK)
        if task not in task_names():
            return values
        values = {**values, "gates": with_known_gates(task, values)}
        if values.get("medium") not in media_names():
            return values
        model, training = values.get("model", {}), values.get("training", {})
        if not (isinstance(model, dict) and isinstance(training, dict)):
            return values
        builder, arguments = str(model.get("builder") or ""), model.get("arguments", {})
        recipe = recipe_of(values["medium"], builder, task, arguments)
        if training.get("privacy") is not None:
            recipe = {k: v for k, v in recipe.items() if k not in NOT_PRIVATE}
        if training.get("loss") is not None:  # smoothing is of the task's own loss
            recipe.pop("label_smoothing", None)
        return {**values, "training": {**recipe, **training}} if recipe else values

    @field_validator("medium", "task")
    @classmethod
    def _is_known(cls, name: str, info: ValidationInfo) -> str:
        names = media_names() if info.field_name == "medium" else task_names()
        if name not in names:
            raise ValueError(f"expected one of {', '.join(names)}")
        return name

    @model_validator(mode="after")
    def _fields_suit_task_and_medium(self) -> PipelineSpec:
        for field in unused_fields(self.task):
            table, _, name = field.partition(".")
            own = getattr(self, table)
            value = getattr(own, name)
            if value != type(own).model_fields[name].default:
                raise ValueError(
                    f"{field} means nothing to the task {self.task} (value "
                    f"{value!r}); leave it out"
                )
        if self.data.separator and not constant(
            modules("media")[self.medium], "IS_TEXT"
        ):
            raise ValueError(f"data.separator means nothing to {self.medium}")
        if self.data.label_separator and not task_default(
            self.task, "LABELS_ARE_LISTS"
        ):
            raise ValueError(f"data.label_separator means nothing to {self.task}")
        own = fields_of(self.medium)
        for field in media_fields().keys() - own.keys():
            default = type(self.data).model_fields[field].default
            if getattr(self.data, field) != default:
                raise ValueError(f"data.{field} means nothing to {self.medium}")
        if augment := self.training.augment:
            if problem := find_misfit(augment, self.medium, self.task):
                raise ValueError(problem)
        return self

    @model_validator(mode="after")
    def _may_choose(self) -> PipelineSpec:
        against = self.model.against
        named = self.model.builder or default_builder(self.medium, self.task)
        if not against:
            return self
        takes = family_yields(named)
        fitting = [
            name
            for name, module in modules("models").items()
            if family_medium(name) in ("", self.medium)
            and takes in ("", family_yields(name))
            and not constant(module, "NEEDS")
        ]
        if against not in (*fitting, named):
            raise ValueError(
                f"model.against: {against!r} is no family for {self.task} of "
                f"{self.medium} that needs no arguments; families: "
                f"{', '.join(fitting)}"
            )
        if against == named:
            raise ValueError(
                f"model.against: {against!r} is the model itself; name another family"
            )
        if self.training.privacy is not None:
            raise ValueError(
                "model.against trains two models, and each would spend the epsilon of "
                "training.privacy; leave one of them out"
            )
        return self

    @field_validator("gates")
    @classmethod
    def _gates_differ(cls, gates: tuple[GateSpec, ...]) -> tuple[GateSpec, ...]:
        names = [gate.name for gate in gates]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two gates share the name {twice[0]!r}")
        return gates
