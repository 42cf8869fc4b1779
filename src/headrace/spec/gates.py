"""``[[gates]]``: what a model must satisfy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from headrace import extensions
from headrace.errors import did_you_mean
from headrace.spec.tables import Table, share


class GateSpec(Table):
    """``[[gates]]``: a metric, and the bound that it must keep for a promotion.

    A known gate, of those listed below, has a metric and a direction of its own; any
    other gate names them. A ``kind``, such as ``ratio``, is a module that judges in
    place of the bound. The ``kind`` of a `GateResult` is another thing: of all gates
    but the champion's and serving it is ``absolute``.
    """

    name: str = Field(
        min_length=1, description="one of the known gates, or a name of your own"
    )
    metric: str = Field(
        default="",
        description="a metric of the evaluation, or one of a class or a group, such as "
        "class=spam/f1; by default the known gate's own, or the name",
    )
    direction: Literal["min", "max"] | None = Field(
        default=None, description="whether the threshold is the least or the greatest"
    )
    threshold: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="the bound of the metric; champion only: the significance level "
        "that all attempts share; with a kind it may be left out",
    )
    margin: float = share(
        0.005,
        "champion only: what may be lost on new test items; of a score of right and "
        "wrong a share of the items, of numbers a share of the champion's mean score",
    )
    kind: str = Field(
        default="",
        description="what judges the model, such as ratio or a kind from a package; "
        "empty: the threshold",
    )
    arguments: dict[str, Any] = Field(
        default_factory=dict, description="what the kind needs"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        known = COMMON_GATES.get(str(values.get("name")), {})
        filled = {**known, **values}
        filled.setdefault("metric", filled.get("name", ""))
        filled.setdefault("direction", "min")
        return filled

    @field_validator("kind")
    @classmethod
    def _kind_is_known(cls, kind: str) -> str:
        known = extensions.modules("gates")
        if kind and kind not in known:
            near = did_you_mean(kind, known, "")
            raise ValueError(
                f"there is no such kind of gate. {near}{' ' * bool(near)}Known: "
                f"{', '.join(known)}. A kind from a package needs that package "
                "installed"
            )
        return kind

    @model_validator(mode="after")
    def _has_a_threshold(self) -> GateSpec:
        if self.threshold is None and not self.kind:
            raise ValueError(f"the gate {self.name!r} needs a threshold")
        if self.name == "serving":
            raise ValueError("the serving gate is always on and takes no threshold")
        return self


COMMON_GATES: dict[str, dict[str, Any]] = {
    "finite": {"metric": "non_finite_values", "direction": "max", "threshold": 0.0},
    "size": {"metric": "model_megabytes", "direction": "max", "threshold": 100.0},
    "latency": {"metric": "latency_ms", "direction": "max", "threshold": 200.0},
    "champion": {"metric": "champion", "direction": "max", "threshold": 0.05},
}
