"""The only door to MLflow: runs, logged models, the registry's versions and aliases.

Models are logged in MLflow's ``keras`` flavour and read back as plain files by
digest; nothing is ever loaded through ``pyfunc``, which runs code from the store.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import DependencyError, IntegrityError, NotFoundError
from headrace.records import DataDescription, SnapshotRecord
from headrace.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL_FILE = "data/model.keras"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
_DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def _mlflow() -> Any:
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow


@contextlib.contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Turn MLflow's failures into errors that say what to do."""
    import requests
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, requests.RequestException, SQLAlchemyError) as error:
        text = _first_line(error)
        if "RESOURCE_DOES_NOT_EXIST" in str(getattr(error, "error_code", "")):
            raise NotFoundError(f"MLflow at {uri}: {text}.") from error
        if "out-of-date database schema" in str(error):
            raise DependencyError(
                f"The MLflow database {uri} was made by an older MLflow.",
                f"Back it up, then run: mlflow db upgrade {uri}",
            ) from error
        if "Max retries exceeded" in text:
            text = "it cannot be reached"
        raise DependencyError(
            f"MLflow at {uri} failed: {text}.",
            "Check that it is running, reachable and not locked, and run the same "
            "command again.",
        ) from error


def _first_line(error: Exception) -> str:
    """What an error says: of a database, without the driver's name and the SQL."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\([\w.]+\) ", "", lines[0]).rstrip(".")[:300]


class Tracking:
    """MLflow at one address.

    Args:
        settings: its ``tracking_uri``; where that is a file of the home, artifacts
            are kept in the home as well.
    """

    def __init__(self, settings: Settings) -> None:
        mlflow = _mlflow()
        self.uri = settings.tracking_uri
        self.home = settings.home.absolute()
        inherited = os.environ.get("MLFLOW_TRACKING_URI")
        try:
            with tracking_errors(self.uri):
                mlflow.set_tracking_uri(self.uri)
                self.client: MlflowClient = mlflow.MlflowClient(self.uri)
        finally:
            if inherited is None:  # MLflow sets it, and other homes would follow it
                os.environ.pop("MLFLOW_TRACKING_URI", None)

    def experiment(self, name: str) -> str:
        """The id of the experiment called ``name``, made if need be."""
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.uri):
            found = self.client.get_experiment_by_name(name)
            if found is not None:
                return str(found.experiment_id)
            location = None
            if self.uri.startswith("sqlite:"):
                location = (self.home / "mlartifacts" / name).as_uri()
            try:
                return str(
                    self.client.create_experiment(name, location, _EXPERIMENT_TAGS)
                )
            except MlflowException:
                found = self.client.get_experiment_by_name(name)
                if found is None:
                    raise
                return str(found.experiment_id)

    @contextlib.contextmanager
    def run(
        self, experiment: str, name: str, tags: Mapping[str, str]
    ) -> Iterator[tuple[str, str]]:
        """One MLflow run that ends with the block, however the block ends.

        Yields:
            (run id, experiment id).
        """
        mlflow = _mlflow()
        experiment_id = self.experiment(experiment)
        with tracking_errors(self.uri):
            run = self.client.create_run(experiment_id, run_name=name, tags=dict(tags))
            run_id = str(run.info.run_id)
        status, monitor = "FAILED", None
        try:
            mlflow.start_run(run_id=run_id)
            monitor = self._system_metrics(run_id)
            yield run_id, experiment_id
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            with tracking_errors(self.uri):
                mlflow.end_run(status)
                self.client.set_terminated(run_id, status)

    def _system_metrics(self, run_id: str) -> Any:
        from mlflow.system_metrics import system_metrics_monitor as metrics

        monitor: Any = metrics.SystemMetricsMonitor(  # type: ignore[no-untyped-call]
            run_id, sampling_interval=1
        )
        monitor.start()
        return monitor

    def log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Log parameters, nested tables flattened with dots, in one call."""
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in _flatten(values)]
        with tracking_errors(self.uri):
            self.client.log_batch(run_id, params=params)

    def log_metrics(
        self, run_id: str, values: Mapping[str, float], step: int = 0
    ) -> None:
        """Log metrics of one step in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(k, float(v), now, step) for k, v in values.items()]
        with tracking_errors(self.uri):
            self.client.log_batch(run_id, metrics=metrics)

    def log_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags in one call."""
        from mlflow.entities import RunTag

        with tracking_errors(self.uri):
            self.client.log_batch(
                run_id, tags=[RunTag(k, str(v)) for k, v in values.items()]
            )

    def log_snapshot(self, run_id: str, snapshot: SnapshotRecord) -> None:
        """Log the data set as an input of the run, under its true digest."""
        import json

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

    def log_files(self, run_id: str, folder: Path, place: str | None = None) -> None:
        """Log every file of a local folder as an artifact."""
        with tracking_errors(self.uri):
            self.client.log_artifacts(run_id, str(folder), place)

    def log_model(self, model: Any, data: DataDescription) -> tuple[str, str, int]:
        """Log a Keras model in the active run.

        Returns:
            its ``models:/m-...`` URI, and the sha256 and size of its Keras file.
        """
        import keras
        import numpy as np
        import tensorflow as tf
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        mlflow = _mlflow()
        shape = (-1, *data.shape)
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype("float32"), shape, data.medium)]),
            outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(data.classes)))]),
        )
        with tracking_errors(self.uri):
            info = mlflow.keras.log_model(
                model,
                name="model",
                signature=signature,
                pip_requirements=[
                    f"keras=={keras.__version__}",
                    f"tensorflow=={tf.__version__}",
                ],
            )
            folder = mlflow.artifacts.download_artifacts(info.model_uri)
        file = Path(folder) / MODEL_FILE
        return str(info.model_uri), file_digest(file), file.stat().st_size

    @contextlib.contextmanager
    def model_file(self, model_uri: str, digest: str) -> Iterator[Path]:
        """The Keras file of a logged model, downloaded and checked.

        Raises:
            IntegrityError: it is gone, or not the file that was logged.
        """
        mlflow = _mlflow()
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            try:
                with tracking_errors(self.uri):
                    logged = self.client.get_logged_model(model_uri.rpartition("/")[2])
                    path = mlflow.artifacts.download_artifacts(
                        f"{logged.artifact_location}/{MODEL_FILE}", dst_path=folder
                    )
            except (NotFoundError, FileNotFoundError, OSError) as error:
                raise IntegrityError(
                    f"The model {model_uri} is no longer in MLflow's artifact store.",
                    "Restore it from a backup, or train again.",
                ) from error
            found = file_digest(Path(path))
            if found != digest:
                raise IntegrityError(
                    f"{model_uri}: {MODEL_FILE} has sha256 {found[:16]}..., but "
                    f"{digest[:16]}... was logged: the file was changed or damaged.",
                    "Do not use it; restore it from a backup, or train again.",
                )
            yield Path(path)

    def run_file(self, run_id: str, path: str) -> bytes:
        """The bytes of a run's artifact.

        Raises:
            IntegrityError: it is gone.
        """
        mlflow = _mlflow()
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            try:
                with tracking_errors(self.uri):
                    found = mlflow.artifacts.download_artifacts(
                        run_id=run_id, artifact_path=path, dst_path=folder
                    )
                return Path(found).read_bytes()
            except (NotFoundError, OSError) as error:
                raise IntegrityError(
                    f"The artifact {path} of the run {run_id} is gone.",
                    "Restore it from a backup, or train again.",
                ) from error

    def create_version(
        self, name: str, model_uri: str, run_id: str, tags: Mapping[str, str], card: str
    ) -> int:
        """The registry's version of a logged model, made once however often asked."""
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.uri):
            with contextlib.suppress(MlflowException):
                self.client.create_registered_model(name)
            for version in self.client.search_model_versions(f"run_id='{run_id}'"):
                if version.name == name:
                    return int(version.version)
            made = self.client.create_model_version(
                name,
                model_uri,
                run_id,
                tags=dict(tags),
                description=card,
                model_id=model_uri.rpartition("/")[2],
            )
            return int(made.version)

    def tag_version(self, name: str, version: int, tags: Mapping[str, str]) -> None:
        """Set tags of a registered version."""
        with tracking_errors(self.uri):
            for key, value in tags.items():
                self.client.set_model_version_tag(name, str(version), key, value)

    def project_aliases(self, name: str, aliases: Mapping[str, int | None]) -> None:
        """Put the registry's aliases where the ledger says they are."""
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.uri):
            present = dict(self.client.get_registered_model(name).aliases)
            for alias, version in aliases.items():
                if version is None and alias in present:
                    with contextlib.suppress(MlflowException):
                        self.client.delete_registered_model_alias(name, alias)
                elif version is not None and str(present.get(alias)) != str(version):
                    self.client.set_registered_model_alias(name, alias, str(version))


def file_digest(path: Path) -> str:
    """sha256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(v, Mapping) for v in value):
            for number, item in enumerate(value):
                label = item.get("name", item.get("expectation", number))
                rest = {k: v for k, v in item.items() if k != "name"}
                yield from _flatten(rest, f"{prefix}{key}.{label}.")
        else:
            yield f"{prefix}{key}", str(value)[:6000]
