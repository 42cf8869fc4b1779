"""``[[gates]]`` of a pipeline file, and those that know their metric."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from headrace.errors import did_you_mean
from headrace.imports.extensions import modules, task_default
from headrace.pipeline.fields import share
from headrace.pipeline.tables import SpecTable
from headrace.records import DEFAULT_TASK
from headrace.settings import option

COMMON_GATES: dict[str, dict[str, Any]] = {
    "finite": {"metric": "non_finite_values", "direction": "max", "threshold": 0.0},
    "size": {"metric": "model_megabytes", "direction": "max", "threshold": 100.0},
    "latency": {"metric": "latency_ms", "direction": "max", "threshold": 200.0},
    "champion": {"metric": "champion", "direction": "max", "threshold": 0.05},
}
# Others that know their metric; a pipeline whose file names no gates has none of them.
ASKED_GATES: dict[str, dict[str, Any]] = {
    "weak_slice": {"metric": "weak_slice_loss", "direction": "max"},
    # Above the packaged digits, whose upper bound was 0.611.
    "membership": {
        "metric": "membership_auc_high",
        "direction": "max",
        "threshold": 0.62,
    },
}


class GateSpec(SpecTable):
    """``[[gates]]``: a metric, and the bound that it must keep for a promotion.

    A known gate has a metric and a direction of its own; any other gate names them. A
    ``kind``, such as ``fairness``, judges in place of the bound; a gate with the name
    of a kind has that kind, unless it has a metric.
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
        "what judges the model, such as fairness or a kind from a package; empty: the "
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
        usual = {**COMMON_GATES, **ASKED_GATES}.get(name, {})
        if not values.get("metric") and name in modules("gates"):
            usual = {"kind": name}
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
            near = did_you_mean(
                self.name, [*COMMON_GATES, *ASKED_GATES, *modules("gates")], ""
            )
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


def with_known_gates(task: str, values: dict[str, Any]) -> Any:
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
