"""MLflow runs: begun, filled and ended."""

from __future__ import annotations

import contextlib
import re
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.state.processes import Process, this_process
from headrace.state.tracking.artifacts import fetch
from headrace.state.tracking.door import import_mlflow, tracking_errors
from headrace.state.tracking.logs import Logs
from headrace.state.tracking.names import own_names, unshown
from headrace.state.tracking.once import make_once, repeat

_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
PROCESS_TAG = "headrace.process"
TOKEN_TAG = "headrace.token"  # noqa: S105
FLOW_TAG = "headrace.flow_run_id"
NOTE_TAG = "mlflow.note.content"  # what a page of MLflow calls the description
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


class Runs(Logs):
    """Experiments and runs."""

    def experiment(self, name: str, about: str = "") -> str:
        """The id of the experiment called ``name``, made if need be.

        Args:
            about: its description.
        """
        with tracking_errors(self.uri):
            found = self.client.get_experiment_by_name(name)
            experiment_id = (
                str(found.experiment_id) if found else self._new_experiment(name)
            )
            if about and about != (found.tags if found else {}).get(NOTE_TAG):
                self.client.set_experiment_tag(experiment_id, NOTE_TAG, about)
        return experiment_id

    def _new_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        location = None
        if not self.uri.startswith("http"):
            location = f"{self.artifacts}/{name}"
        try:
            made = self.client.create_experiment(name, location, _EXPERIMENT_TAGS)
        except MlflowException:
            found = self.client.get_experiment_by_name(name)
            if found is None:
                raise
            made = found.experiment_id
        return str(made)

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
        tags = unshown({**tags, TOKEN_TAG: token, "mlflow.user": self.user})
        (token_tag,) = unshown({TOKEN_TAG: token})

        def find() -> str | None:
            found = self.client.search_runs(
                [experiment_id], f"tags.`{token_tag}` = '{token}'"
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
                again = [RunTag(key, value) for key, value in unshown(tags).items()]
                self.client.log_batch(run_id, tags=again)
                return run_id
        return ""

    def _end_orphans(self, experiment_id: str) -> None:
        """End the runs whose process on this machine was killed outright."""
        for run in self._running([experiment_id]):
            if run.process is not None and run.process.condition == "gone":
                self.end(run.run_id)

    def running(self) -> list[FoundRun]:
        """The runs of flows that MLflow has as running, of all experiments."""
        with tracking_errors(self.uri):
            experiments = self.client.search_experiments(max_results=50_000)
            ids = [experiment.experiment_id for experiment in experiments]
            return [run for run in self._running(ids) if run.flow_run_id]

    def _running(self, experiments: Sequence[str]) -> list[FoundRun]:
        found = self.client.search_runs(
            list(experiments), "attributes.status = 'RUNNING'", max_results=MOST_RUNNING
        )
        return [_as_found(run) for run in found]

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
            return _as_found(found[0])
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
            for name in (*unshown({tag: ""}), tag):  # older releases show all tags
                runs = known and self.client.search_runs(
                    [known.experiment_id], f"tags.`{name}` != ''", max_results=1
                )
                if runs:
                    return str(runs[0].info.run_id)
        return ""

    def params_of_last(self, experiment: str, name: str) -> dict[str, str]:
        """The parameters of the newest run of that name; none where there is none."""
        with tracking_errors(self.uri):
            found = self.client.search_runs(
                [self.experiment(experiment)], f"run_name = '{name}'", max_results=1
            )
        return dict(found[0].data.params) if found else {}

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


def _as_found(run: Any) -> FoundRun:
    return FoundRun(run.info.run_id, run.info.status, own_names(run.data.tags))
