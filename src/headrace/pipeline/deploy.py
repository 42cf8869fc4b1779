"""``[deploy]`` of a pipeline file."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from headrace.imports import extensions
from headrace.pipeline.checks import check_cron, check_timezone
from headrace.pipeline.tables import SpecTable
from headrace.settings import option


def _mapping(text: str) -> Any:
    """A field for a table that is left out of digests while it is empty."""
    return Field(default_factory=dict, exclude_if=operator.not_, description=text)


class FlowSpec(SpecTable):
    """``[deploy.flows.NAME]``: when another flow runs on a pipeline, and where."""

    cron: Annotated[str, AfterValidator(check_cron)] = option(
        "", "a schedule of five fields; by default none"
    )
    timezone: Annotated[str, AfterValidator(check_timezone)] = option(
        "UTC", "time zone of cron"
    )
    paused: bool = option(False, "the schedule is paused")
    on_drift: bool = option(
        False, "a headrace.drift event starts a run; by default it only notifies people"
    )
    on_snapshot: bool = option(False, "a new snapshot of its data starts a run")
    cooldown_minutes: float = option(
        60, "least time between two runs started by events", ge=0
    )
    pool: str = option("cpu", "work pool of the flow", min_length=1)
    queue: str = option("default", "work queue in that pool", min_length=1)
    concurrency: int = option(1, "runs of the deployment at the same time", ge=1)
    when_busy: Literal["wait", "refuse"] = option(
        "wait", "what happens to a run beyond that number"
    )
    parameters: dict[str, Any] = _mapping("of the flow, beside pipeline and folder")


class DeploySpec(FlowSpec):
    """``[deploy]``: when a pipeline runs by itself, and on which workers."""

    train_pool: str = option(
        "", "work pool of the train stage; by default the flow's own"
    )
    flows: dict[str, FlowSpec] = _mapping(
        "other flows that run on the pipeline, by name"
    )

    @field_validator("flows")
    @classmethod
    def _flows_are_known(cls, flows: dict[str, FlowSpec]) -> dict[str, FlowSpec]:
        own = ("train", "fit")  # [deploy] itself deploys these
        names = [name for name in extensions.modules("flows") if name not in own]
        for name in flows:
            if name not in names:
                raise ValueError(f"{name!r} is not one of {', '.join(names)}")
        return flows

    @model_validator(mode="after")
    def _training_has_a_pool_of_its_own(self) -> DeploySpec:
        if self.train_pool == self.pool:
            raise ValueError(
                f"train_pool is the flow's own pool {self.pool!r}, where a flow could "
                "wait for its training for ever; leave it out"
            )
        return self
