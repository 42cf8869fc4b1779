"""What deployments a pipeline should have, told from its file alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.settings import Settings
from headrace.spec import DeploySpec, PipelineSpec
from headrace.state.folders import pack_folder
from headrace.state.store import Store
from headrace_flows import recovery
from headrace_flows.events import DRIFT, SNAPSHOT

_ENTRYPOINTS = {
    "train": "headrace_flows.train.train",
    "fit": "headrace_flows.fit.fit",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One deployment as it should be.

    Attributes:
        flow: ``train``, or ``fit``, which does the training on another pool.
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
        return _ENTRYPOINTS[self.flow]


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
    """
    tags = (*owner_tags(settings), f"pipeline:{spec.name}")
    digest = pack_folder(folder, Store(settings.store))
    events = (*([DRIFT] if deploy.on_drift else []),)
    events += (*([SNAPSHOT] if deploy.on_snapshot else []),)
    train = Wanted(
        flow="train",
        pipeline=spec.name,
        description=spec.description,
        pool=deploy.pool,
        queue=deploy.queue,
        tags=tags,
        parameters={
            "pipeline": spec.model_dump(mode="json"),
            "folder": f"sha256:{digest}",
        },
        concurrency=deploy.concurrency,
        when_busy=deploy.when_busy,
        cron=deploy.cron,
        timezone=deploy.timezone,
        paused=deploy.paused,
        events=events,
        cooldown_minutes=deploy.cooldown_minutes,
    )
    if not deploy.train_pool:
        return [train]
    fit = Wanted(
        flow="fit",
        pipeline=spec.name,
        description=f"The training of {spec.name}; train/{spec.name} starts it.",
        pool=deploy.train_pool,
        queue="default",
        tags=tags,
    )
    return [train, fit]
