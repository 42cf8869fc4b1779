"""Logging to an MLflow run: parameters, metrics, tags, data sets and files.

Names of metrics and tags are changed to those that MLflow accepts.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.pipeline.files import flatten
from headrace.records import SnapshotRecord
from headrace.state.tracking.connection import Connection, tracking_errors
from headrace.state.tracking.retries import retry_once

_OURS = "headrace."
_HIDDEN = "mlflow."  # MLflow's pages do not show tags with this prefix


def valid_name(name: str) -> str:
    """The name of a metric or a tag: ``gate.a (b)`` becomes ``gate.a _b_``."""
    return re.sub(r"[^\w\-. :/]", "_", name)


def to_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags with a prefix that hides those of Headrace on MLflow's pages."""
    return {
        f"{_HIDDEN}{key}" if key.startswith(_OURS) else key: value
        for key, value in tags.items()
    }


def from_mlflow_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags without that prefix."""
    hidden = {k: v for k, v in tags.items() if k.startswith(f"{_HIDDEN}{_OURS}")}
    return {**tags, **{k.removeprefix(_HIDDEN): v for k, v in hidden.items()}}


def as_tags(tags: Mapping[str, str]) -> list[Any]:
    """Tags as MLflow's entities."""
    from mlflow.entities import RunTag

    return [RunTag(valid_name(k), str(v)) for k, v in to_mlflow_tags(tags).items()]


def as_metrics(
    values: Mapping[str, float], step: int, model_id: str | None = None
) -> list[Any]:
    """Metrics of one step as MLflow's entities."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(valid_name(name), float(value), now, step, model_id)
        for name, value in values.items()
    ]


class Logs(Connection):
    """Each method is one call to MLflow."""

    def log_batch(self, run_id: str, **entities: Any) -> None:
        """Log params, metrics or tags, which are MLflow's entities."""
        with tracking_errors(self.uri):
            retry_once(lambda: self.client.log_batch(run_id, **entities))

    def log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Log parameters, nested tables flattened with dots."""
        from mlflow.entities import Param

        self.log_batch(run_id, params=[Param(*field) for field in flatten(values)])

    def log_metrics(
        self,
        run_id: str,
        values: Mapping[str, float],
        step: int = 0,
        model_uri: str = "",
    ) -> None:
        """Log metrics of one step, and link them to a logged model."""
        model_id = model_uri.rpartition("/")[2] or None
        self.log_batch(run_id, metrics=as_metrics(values, step, model_id))

    def log_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags."""
        self.log_batch(run_id, tags=as_tags(values))

    def log_snapshot(self, run_id: str, name: str, snapshot: SnapshotRecord) -> None:
        """Log the data set as an input of the run, by a name and with its digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=name,
            digest=snapshot.digest[:36],
            source_type="headrace",
            source=json.dumps({"uri": snapshot.uri, "source": snapshot.source}),
            schema=snapshot.description.model_dump_json(),
            profile=json.dumps(snapshot.rows),
        )
        tags = [InputTag("mlflow.data.context", "training")]
        with tracking_errors(self.uri):
            self.client.log_inputs(run_id, [DatasetInput(dataset, tags)])

    def log_files(self, run_id: str, folder: Path, path: str | None = None) -> None:
        """Log every file of a local folder as an artifact, below a path."""
        with tracking_errors(self.uri):
            self.client.log_artifacts(run_id, str(folder), path)
