"""The deployments that a pipeline should have, from its file alone."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace import extensions
from headrace.errors import SpecError
from headrace.settings import Settings
from headrace.spec import DeploySpec, FlowSpec, PipelineSpec
from headrace.state.folders import pack_folder
from headrace.state.store import Store
from headrace_flows import recovery
from headrace_flows.events import DRIFT, SNAPSHOT


@dataclass(frozen=True, slots=True)
class Wanted:
    """One deployment as it should be.

    Attributes:
        flow: such as ``train``, or ``fit``, which does the training on another pool.
        parameters: of its runs, JSON.
        concurrency: runs at once; None: as many as the pool takes.
        events: that start it, at most once in `cooldown_minutes`.
    """

    flow: str
    pipeline: str
    description: str
    pool: str
    queue: str
    tags: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    concurrency: int | None = None
    when_busy: str = "wait"
    cron: str = ""
    timezone: str = "UTC"
    paused: bool = False
    events: tuple[str, ...] = ()
    cooldown_minutes: float = 0

    @property
    def name(self) -> str:
        """As Prefect writes it: flow and deployment."""
        return f"{self.flow}/{self.pipeline}"

    @property
    def entrypoint(self) -> str:
        """The module path that a worker imports."""
        return f"{extensions.modules('flows')[self.flow]}.{self.flow}"


def owner_tags(settings: Settings) -> list[str]:
    """The tags of all that this project deploys; others on the server are left alone.

    Raises:
        DependencyError: the ledger, whose name is one of them, does not answer.
    """
    return [*recovery.tags(settings), f"project:{settings.project.resolve().name}"]


def recorded_of(wanted: Iterable[Wanted]) -> dict[str, str]:
    """What the ledger is to have of deployments and of the folders that they name."""
    found = {one.name: one.entrypoint for one in wanted}
    for one in wanted:
        if "folder" in one.parameters:
            found[one.parameters["folder"]] = one.pipeline
    return found


def wanted_of(
    spec: PipelineSpec, deploy: DeploySpec, folder: Path, settings: Settings
) -> list[Wanted]:
    """The deployments of a pipeline; its folder is put into the store.

    Args:
        spec: the pipeline, its source absolute.
        deploy: its ``[deploy]``.
        folder: its folder.
        settings: where the store is.

    Raises:
        SpecError: a table sets a parameter that its flow does not have.
    """
    tags = (*owner_tags(settings), f"pipeline:{spec.name}")
    digest = pack_folder(folder, Store(settings.store))
    own = {"pipeline": spec.model_dump(mode="json"), "folder": f"sha256:{digest}"}
    tables = {"train": deploy, **deploy.flows}
    wanted = [_of_flow(flow, tables[flow], spec, own, tags) for flow in tables]
    if deploy.train_pool:
        fit = Wanted(
            flow="fit",
            pipeline=spec.name,
            description=f"The training of {spec.name}; train/{spec.name} starts it.",
            pool=deploy.train_pool,
            queue="default",
            tags=tags,
        )
        wanted.append(fit)
    return wanted


def _of_flow(
    flow: str,
    table: FlowSpec,
    spec: PipelineSpec,
    own: dict[str, Any],
    tags: tuple[str, ...],
) -> Wanted:
    """The deployment of a flow, given those of its own parameters that it takes."""
    taken = inspect.signature(find_flow(flow).fn).parameters
    parameters = {name: value for name, value in own.items() if name in taken}
    for name in table.parameters:
        if name not in taken or name in own:
            known = ", ".join(name for name in taken if name not in own) or "none"
            raise SpecError(
                f"The flow {flow} has no parameter {name!r} for {spec.name} to set.",
                f"Its parameters are: {known}.",
            )
    events = ((DRIFT, table.on_drift), (SNAPSHOT, table.on_snapshot))
    return Wanted(
        flow=flow,
        pipeline=spec.name,
        description=spec.description,
        pool=table.pool,
        queue=table.queue,
        tags=tags,
        parameters={**parameters, **table.parameters},
        concurrency=table.concurrency,
        when_busy=table.when_busy,
        cron=table.cron,
        timezone=table.timezone,
        paused=table.paused,
        events=tuple(event for event, starts in events if starts),
        cooldown_minutes=table.cooldown_minutes,
    )


def find_flow(name: str) -> Any:
    """A flow by its name, such as ``train``: Prefect's object of a function."""
    return getattr(extensions.load("flows", name), name)
