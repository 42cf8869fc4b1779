"""The pipeline file and its gates, with the defaults of medium, family and task."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from headrace.errors import SpecError, did_you_mean
from headrace.extensions import constant, modules, task_default
from headrace.pipeline import tables
from headrace.pipeline.augment import find_misfit
from headrace.pipeline.fields import option, share
from headrace.pipeline.privacy import NOT_PRIVATE
from headrace.pipeline.training import TrainingSpec
from headrace.records import DEFAULT_TASK

COMMON_GATES: dict[str, dict[str, Any]] = {
    "finite": {"metric": "non_finite_values", "direction": "max", "threshold": 0.0},
    "size": {"metric": "model_megabytes", "direction": "max", "threshold": 100.0},
    "latency": {"metric": "latency_ms", "direction": "max", "threshold": 200.0},
    "champion": {"metric": "champion", "direction": "max", "threshold": 0.05},
}
# Gates that name their kind by their own name, unless they have a metric or a kind.
_KINDS = ("fairness", "weak_slice", "robustness", "membership")
KIND_GATES = {kind: {"kind": kind} for kind in _KINDS}


def media_names() -> list[str]:
    """All media, of ``headrace.media`` and of entry points."""
    return list(modules("media"))


def task_names() -> list[str]:
    """All tasks, of ``headrace.tasks`` and of entry points."""
    return list(modules("tasks"))


class GateSpec(tables.SpecTable):
    """``[[gates]]``: a metric, and the bound that it must keep for a promotion.

    A known gate has a metric and a direction of its own; any other gate names them. A
    ``kind``, such as ``ratio``, judges in place of the bound.
    """

    name: str = Field(
        min_length=1, description="one of the known gates, or a name of your own"
    )
    metric: str = option(
        "",
        "a metric of the evaluation, or one of a class or a group, such as "
        "class=spam/f1; by default the known gate's own, or the name",
    )
    direction: Literal["min", "max"] | None = option(
        None, "whether the threshold is the least or the greatest"
    )
    threshold: float | None = option(
        None,
        "the bound of the metric; champion only: the significance level that all "
        "attempts share; with a kind it may be left out",
        allow_inf_nan=False,
    )
    margin: float = share(
        0.005,
        "champion only: what may be lost on new test items; of a score of right and "
        "wrong a share of the items, of numbers a share of the champion's mean score",
    )
    kind: str = option(
        "",
        "what judges the model, such as ratio or a kind from a package; empty: the "
        "threshold",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="what the kind needs; of the champion, gain: what a challenger "
        "must be better by on items that were judged before, a share as margin is",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        name = str(values.get("name"))
        usual = COMMON_GATES.get(name, {})
        if not values.get("metric"):
            usual = KIND_GATES.get(name, usual)
        return {"metric": values.get("name", ""), "direction": "min", **usual, **values}

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        kinds = modules("gates")
        if kind and kind not in kinds:
            near = did_you_mean(kind, kinds, "")
            raise ValueError(
                f"there is no such kind of gate. {near}{' ' * bool(near)}Known: "
                f"{', '.join(kinds)}. A kind from a package needs that package "
                "installed"
            )
        return kind

    @model_validator(mode="after")
    def _has_a_threshold(self) -> GateSpec:
        if self.threshold is None and not self.kind:
            near = did_you_mean(self.name, [*COMMON_GATES, *KIND_GATES], "")
            raise ValueError(
                f"the gate {self.name!r} needs a threshold. {near}".rstrip()
            )
        if self.name == "serving":
            raise ValueError("the serving gate is always on and takes no threshold")
        return self

    @model_validator(mode="after")
    def _gain_is_a_share(self) -> GateSpec:
        if self.name != "champion" or self.kind:
            return self
        if others := self.arguments.keys() - {"gain"}:
            raise ValueError(f"the gate 'champion' takes gain, not {min(others)}")
        gain = self.arguments.get("gain", 0.0)
        if isinstance(gain, bool) or not isinstance(gain, int | float):
            raise ValueError(f"gain is a number, not {gain!r}")
        if not 0 <= gain < 1:
            raise ValueError(f"gain is at least 0 and below 1, not {gain}")
        return self

    @property
    def gain(self) -> float:
        """What a challenger must be better by on items that were judged before."""
        return float(self.arguments.get("gain", 0.0))


class PipelineSpec(tables.SpecTable):
    """A pipeline file with its defaults filled in."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    medium: str = Field(json_schema_extra={"enum": [*media_names()]})
    task: str = Field(default=DEFAULT_TASK, json_schema_extra={"enum": [*task_names()]})
    description: str = ""
    data: tables.DataSpec
    contract: tuple[tables.ContractRow, ...] = ()
    model: tables.ModelSpec = tables.ModelSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: tables.EvaluationSpec = tables.EvaluationSpec()
    gates: tuple[GateSpec, ...] = ()
    promotion: tables.PromotionSpec = tables.PromotionSpec()
    deploy: tables.DeploySpec | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        """Fill in the defaults of the family of models and of the task."""
        if not isinstance(values, dict):
            return values
        task = values.get("task", DEFAULT_TASK)
        if task not in task_names():
            return values
        values = {**values, "gates": _gates_of(task, values)}
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
        own = tables.fields_of(self.medium)
        for field in tables.media_fields().keys() - own.keys():
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


def default_builder(medium: str, task: str = DEFAULT_TASK) -> str:
    """The default family of models of a medium, or of a task's own for it."""
    own = task_default(task, "BUILDERS") or {}
    return str(own.get(medium) or constant(modules("media")[medium], "DEFAULT_BUILDER"))


def family_medium(builder: str) -> str:
    """The medium of a family; empty where there is no such family.

    Raises:
        SpecError: the family does not say it.
    """
    module = modules("models").get(builder)
    return str(constant(module, "MEDIUM", '"image"')) if module else ""


def recipe_of(
    medium: str, builder: str, task: str = DEFAULT_TASK, arguments: Any = None
) -> dict[str, Any]:
    """The measured training defaults of a family; none for other builders.

    Fields without a meaning for the task are left out.

    Args:
        arguments: of the builder. Some may need other values: a family's ``RECIPES``
            are tuples of an argument, its values up to a colon, and what differs then.

    Raises:
        SpecError: the family has no recipe, or one that does not fit `TrainingSpec`.
    """
    builder = builder or default_builder(medium, task)
    module = modules("models").get(builder)
    if module is None or family_medium(builder) not in ("", medium):
        return {}
    recipe = constant(module, "RECIPE", '{"epochs": 4}')
    given = arguments if isinstance(arguments, dict) else {}
    for name, kinds, other in constant(module, "RECIPES") or ():
        if str(given.get(name)).partition(":")[0] in kinds:
            recipe = recipe | other
    try:
        TrainingSpec.model_validate(recipe)
    except ValidationError as error:
        wrong = error.errors()[0]
        key = ".".join(map(str, wrong["loc"]))
        if wrong["type"] != "extra_forbidden":
            message = f"RECIPE has {key} = {wrong['input']!r}: {wrong['msg']}."
            raise SpecError(f"{module}: {message}", "Mend that package.") from None
        names = TrainingSpec.model_fields
        raise SpecError(
            f"{module}: RECIPE has the unknown key {key}.",
            did_you_mean(key, names, f"Valid names: {', '.join(names)}."),
        ) from None
    unused = unused_fields(task)
    return {k: v for k, v in recipe.items() if f"training.{k}" not in unused}


def known_gates(task: str) -> dict[str, dict[str, Any]]:
    """The gates that know their metric and direction, by name."""
    return {**task_default(task, "GATES"), **COMMON_GATES}


def default_gates(task: str = DEFAULT_TASK) -> tuple[GateSpec, ...]:
    """The gates of a pipeline whose file names none."""
    gates = known_gates(task)
    for name, threshold in task_default(task, "DEFAULT_GATES").items():
        gates[name] = {**gates[name], "threshold": threshold}
    names = (*task_default(task, "DEFAULT_GATES"), *COMMON_GATES)
    return tuple(GateSpec.model_validate({"name": n, **gates[n]}) for n in names)


def family_yields(builder: str) -> str:
    """What the network of a family yields, such as ``vector``; may be empty."""
    module = modules("models").get(builder)
    return str(constant(module, "YIELDS") or "") if module else ""


def unused_fields(task: str) -> tuple[str, ...]:
    """Fields without a meaning for a task, such as ``training.calibrate``."""
    return tuple(task_default(task, "UNUSED"))


def _gates_of(task: str, values: dict[str, Any]) -> Any:
    """The gates with the metrics and directions that the task knows."""
    if "gates" not in values:
        return default_gates(task)
    defaults, gates = known_gates(task), values["gates"]
    if not isinstance(gates, list | tuple):
        return gates  # pydantic rejects them
    return [
        {**defaults.get(str(gate.get("name")), {}), **gate}
        if isinstance(gate, dict)
        else gate
        for gate in gates
    ]


def least_steps(builder: str) -> int:
    """The training steps that a family needs to converge, however few the rows."""
    return int(constant(modules("models")[builder], "LEAST_STEPS") or 0)
