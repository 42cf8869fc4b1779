"""Logging to an MLflow run: parameters, metrics, tags, data sets and files."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.records import SnapshotRecord
from headrace.spec.fields import flatten
from headrace.state.tracking.connection import Connection, tracking_errors
from headrace.state.tracking.names import to_mlflow_tags, valid_name
from headrace.state.tracking.retries import retry_once


class Logs(Connection):
    """Each method is one call to MLflow."""

    def log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Log parameters, nested tables flattened with dots, in one call."""
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in flatten(values)]
        with tracking_errors(self.uri):
            retry_once(lambda: self.client.log_batch(run_id, params=params))

    def log_metrics(
        self,
        run_id: str,
        values: Mapping[str, float],
        step: int = 0,
        model_uri: str = "",
    ) -> None:
        """Log metrics of one step in one call, and link them to a logged model."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        model_id = model_uri.rpartition("/")[2] or None
        metrics = [
            Metric(valid_name(k), float(v), now, step, model_id)
            for k, v in values.items()
        ]
        with tracking_errors(self.uri):
            retry_once(lambda: self.client.log_batch(run_id, metrics=metrics))

    def log_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags in one call."""
        from mlflow.entities import RunTag

        tags = [
            RunTag(valid_name(k), str(v)) for k, v in to_mlflow_tags(values).items()
        ]
        with tracking_errors(self.uri):
            retry_once(lambda: self.client.log_batch(run_id, tags=tags))

    def log_snapshot(self, run_id: str, snapshot: SnapshotRecord) -> None:
        """Log the data set as an input of the run, with its digest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(
            name=f"snapshot-{snapshot.digest[:12]}",
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
