"""MLflow runs: begun, filled and ended."""

from __future__ import annotations

import contextlib
import json
import re
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.records import SnapshotRecord
from headrace.state.processes import Process, this_process
from headrace.state.tracking.artifacts import fetch
from headrace.state.tracking.door import Connection, import_mlflow, tracking_errors
from headrace.state.tracking.names import plain
from headrace.state.tracking.once import make_once, repeat

_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
PROCESS_TAG = "headrace.process"
TOKEN_TAG = "headrace.token"  # noqa: S105
FLOW_TAG = "headrace.flow_run_id"
MOST_RUNNING = 1000


@dataclass(frozen=True, slots=True)
class FoundRun:
    """What MLflow has of a run; ``status`` is its own word, such as FINISHED."""

    run_id: str
    status: str
    tags: dict[str, str]

    @property
    def process(self) -> Process | None:
        """The process that it is or was filled by."""
        return Process.parse(self.tags.get(PROCESS_TAG, ""))

    @property
    def flow_run_id(self) -> str:
        """Prefect's, of the flow that it belongs to."""
        return self.tags.get(FLOW_TAG, "")


class Runs(Connection):
    """Experiments and runs."""

    def experiment(self, name: str) -> str:
        """The id of the experiment called ``name``, made if need be."""
        from mlflow.exceptions import MlflowException

        with tracking_errors(self.uri):
            found = self.client.get_experiment_by_name(name)
            if found is not None:
                return str(found.experiment_id)
            location = None
            if not self.uri.startswith("http"):
                location = f"{self.artifacts}/{name}"
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
        self, experiment: str, name: str, tags: Mapping[str, str], again: str = ""
    ) -> Iterator[tuple[str, str]]:
        """One MLflow run that ends with the block, however the block ends.

        Args:
            experiment: its name.
            name: of a new run.
            tags: of the run.
            again: a run to go on with, if it is still there.

        Yields:
            (run id, experiment id).
        """
        mlflow = import_mlflow()
        experiment_id = self.experiment(experiment)
        tags = {**tags, PROCESS_TAG: str(this_process())}
        status, monitor, run_id = "FAILED", None, ""
        try:
            with tracking_errors(self.uri):
                self._end_orphans(experiment_id)
                run_id = self._reopen(again, tags)
                if not run_id:
                    run_id = self._create(experiment_id, name, tags)
            mlflow.start_run(run_id=run_id)
            monitor = self._system_metrics(run_id)
            yield run_id, experiment_id
            status = "FINISHED"
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            if monitor is not None:
                monitor.finish()
            if run_id:
                with tracking_errors(self.uri):
                    repeat(lambda: mlflow.end_run(status))
                    repeat(lambda: self.client.set_terminated(run_id, status))

    def _create(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """The id of a new run, made once though answers may be lost."""
        token = uuid.uuid4().hex
        tags = {**tags, TOKEN_TAG: token}

        def find() -> str | None:
            found = self.client.search_runs(
                [experiment_id], f"tags.`{TOKEN_TAG}` = '{token}'"
            )
            return str(found[0].info.run_id) if found else None

        def make() -> str:
            run = self.client.create_run(experiment_id, run_name=name, tags=tags)
            return str(run.info.run_id)

        return make_once(self.uri, make, find)

    def _reopen(self, run_id: str, tags: Mapping[str, str]) -> str:
        """The id again, if the run is there and not deleted; its tags set anew."""
        from mlflow.entities import RunTag
        from mlflow.exceptions import MlflowException

        if not run_id:
            return ""
        with contextlib.suppress(MlflowException):
            run = self.client.get_run(run_id)
            if run.info.lifecycle_stage == "active":
                found = [RunTag(key, value) for key, value in tags.items()]
                self.client.log_batch(run_id, tags=found)
                return run_id
        return ""

    def _end_orphans(self, experiment_id: str) -> None:
        """End the runs whose process on this machine was killed outright."""
        running = self.client.search_runs(
            [experiment_id], f"status = 'RUNNING' and tags.`{PROCESS_TAG}` != ''"
        )
        for run in running:
            process = Process.parse(run.data.tags[PROCESS_TAG])
            if process is not None and process.condition == "gone":
                self.end(run.info.run_id)

    def running(self) -> list[FoundRun]:
        """The runs of flows that MLflow has as running, of all experiments."""
        with tracking_errors(self.uri):
            experiments = self.client.search_experiments(max_results=50_000)
            found = self.client.search_runs(
                [experiment.experiment_id for experiment in experiments],
                f"attributes.status = 'RUNNING' and tags.`{FLOW_TAG}` != ''",
                max_results=MOST_RUNNING,
            )
        return [
            FoundRun(run.info.run_id, run.info.status, dict(run.data.tags))
            for run in found
        ]

    def end(self, run_id: str) -> None:
        """Say of a run whose process is gone that it was killed, unless it has ended.

        It may have done so after it was found to be running, and before it was gone.
        """
        with tracking_errors(self.uri):
            if self.client.get_run(run_id).info.status == "RUNNING":
                self.client.set_terminated(run_id, "KILLED")

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

        params = [Param(key, value) for key, value in flatten(values)]
        with tracking_errors(self.uri):
            repeat(lambda: self.client.log_batch(run_id, params=params))

    def log_metrics(
        self, run_id: str, values: Mapping[str, float], step: int = 0
    ) -> None:
        """Log metrics of one step in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(plain(k), float(v), now, step) for k, v in values.items()]
        with tracking_errors(self.uri):
            repeat(lambda: self.client.log_batch(run_id, metrics=metrics))

    def log_tags(self, run_id: str, values: Mapping[str, str]) -> None:
        """Set tags in one call."""
        from mlflow.entities import RunTag

        tags = [RunTag(plain(key), str(value)) for key, value in values.items()]
        with tracking_errors(self.uri):
            repeat(lambda: self.client.log_batch(run_id, tags=tags))

    def log_snapshot(self, run_id: str, snapshot: SnapshotRecord) -> None:
        """Log the data set as an input of the run, under its true digest."""
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

    def find_run(self, beginning: str) -> FoundRun:
        """The run whose id begins so.

        Raises:
            NotFoundError: none does, or several do.
        """
        found: list[Any] = []
        if re.fullmatch(r"[0-9a-f]+", beginning):
            with tracking_errors(self.uri):
                experiments = self.client.search_experiments(max_results=50_000)
                found = self.client.search_runs(
                    [experiment.experiment_id for experiment in experiments],
                    f"attributes.run_id LIKE '{beginning}%'",
                    max_results=4,
                )
        if len(found) == 1:
            run = found[0]
            return FoundRun(run.info.run_id, run.info.status, dict(run.data.tags))
        if not found:
            raise NotFoundError(
                f"MLflow at {self.uri} has no run {beginning!r}.",
                "Name the id of a run, or how it begins.",
            )
        ids = ", ".join(run.info.run_id for run in found)
        raise NotFoundError(
            f"Several runs begin with {beginning!r}, such as {ids}.",
            "Name more of the id.",
        )

    def newest_run(self, experiment: str, tag: str) -> str:
        """The id of an experiment's newest run with a tag; empty: there is none."""
        with tracking_errors(self.uri):
            known = self.client.get_experiment_by_name(experiment)
            runs = known and self.client.search_runs(
                [known.experiment_id], f"tags.`{tag}` != ''", max_results=1
            )
        return str(runs[0].info.run_id) if runs else ""

    def run_place(self, run_id: str) -> str:
        """URI of the folder of a run's artifacts; raises NotFoundError."""
        with tracking_errors(self.uri):
            return str(self.client.get_run(run_id).info.artifact_uri)

    def run_file(self, run_id: str, path: str) -> bytes:
        """The bytes of a run's artifact.

        Raises:
            IntegrityError: it is gone.
        """
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            try:
                place = self.run_place(run_id)
                return fetch(self.uri, place, path, folder).read_bytes()
            except (NotFoundError, OSError) as error:
                raise IntegrityError(
                    f"The artifact {path} of the run {run_id} is gone.",
                    "Restore it from a backup, or train again.",
                ) from error


def _is_row(value: Any) -> bool:
    """Whether a list's value has fields beside its name."""
    return isinstance(value, Mapping) and value.keys() != {"name"}


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The fields of nested JSON as text, named ``training.epochs``."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(map(_is_row, value)):
            for number, item in enumerate(value):
                label = item.get("name", number)
                rest = {k: v for k, v in item.items() if k != "name"}
                yield from flatten(rest, f"{prefix}{key}.{label}.")
        else:
            yield f"{prefix}{key}", str(value)[:6000]
