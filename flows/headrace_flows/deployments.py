"""The deployments that a pipeline should have, from its file alone."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.imports import extensions
from headrace.pipeline import PipelineSpec
from headrace.pipeline.deploy import DeploySpec, FlowSpec
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.packing import pack_folder
from headrace.state.store import Store
from headrace_flows.events import DRIFT, SNAPSHOT, ledger_tag
from headrace_flows.parameters import absolute_places, check_parameters, find_flow


@dataclass(frozen=True, slots=True)
class WantedDeployment:
    """One deployment as it should be.

    Attributes:
        flow: such as ``train``, or ``fit``, which does the training on another pool.
        table: its pool, schedule and limits.
        tags: of the deployment and of its runs.
        parameters: of its runs, as JSON.
    """

    flow: str
    pipeline: str
    description: str
    table: FlowSpec
    tags: tuple[str, ...]
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Flow and deployment, as Prefect writes them."""
        return f"{self.flow}/{self.pipeline}"

    @property
    def entrypoint(self) -> str:
        """The module path that a worker imports."""
        return f"{extensions.modules('flows')[self.flow]}.{self.flow}"

    @property
    def concurrency(self) -> int | None:
        """The number of runs at once; None: as many as the pool takes."""
        return None if self.flow == "fit" else self.table.concurrency

    @property
    def events(self) -> list[str]:
        """The events that start it, at most once in the table's `cooldown_minutes`."""
        events = ((DRIFT, self.table.on_drift), (SNAPSHOT, self.table.on_snapshot))
        return [event for event, starts in events if starts]


def owner_tags(settings: Settings) -> list[str]:
    """The tags of this project's deployments; others on the server are not changed.

    Raises:
        DependencyError: the ledger, whose name is one of them, does not answer.
    """
    return [ledger_tag(settings), f"project:{settings.project.resolve().name}"]


def packed(folder: Path, store: Store) -> str:
    """Pack a folder into the store; returns ``sha256:`` and its digest, for a flow."""
    return f"sha256:{pack_folder(folder, store)}"


def wanted_of(
    spec: PipelineSpec, deploy: DeploySpec, folder: Path, settings: Settings
) -> list[WantedDeployment]:
    """The deployments of a pipeline, whose folder is packed into the store.

    Args:
        spec: the pipeline, with an absolute source.
        deploy: its table ``[deploy]``.
        folder: its folder.
        settings: where the store is.

    Raises:
        SpecError: a table sets a parameter that its flow does not have, or that does
            not fit.
        UsageError: a place in a parameter holds a credential.
    """
    check_parameters(spec, deploy, folder)
    tags = (*owner_tags(settings), f"pipeline:{spec.name}")
    place = packed(folder, Home(settings).store)
    own = {"pipeline": spec.model_dump(mode="json"), "folder": place}
    wanted = []
    for flow, table in {"train": deploy, **deploy.flows}.items():
        loaded = find_flow(flow)
        taken = inspect.signature(loaded.fn).parameters
        parameters = {name: value for name, value in own.items() if name in taken}
        if "model" in taken:
            parameters["model"] = spec.name
        parameters |= absolute_places(loaded, table.parameters, folder)
        wanted.append(
            WantedDeployment(flow, spec.name, spec.description, table, tags, parameters)
        )
    if deploy.train_pool:
        about = f"The training of {spec.name}; train/{spec.name} starts it."
        table = FlowSpec(pool=deploy.train_pool)
        wanted.append(WantedDeployment("fit", spec.name, about, table, tags))
    return wanted
