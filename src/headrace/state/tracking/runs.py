"""MLflow experiments, one for each pipeline, and their runs."""

from __future__ import annotations

import contextlib
import hashlib
import re
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.state.processes import Process, this_process
from headrace.state.regular import read_file
from headrace.state.tracking import logs
from headrace.state.tracking.artifacts import fetch
from headrace.state.tracking.connection import import_mlflow, tracking_errors
from headrace.state.tracking.retries import create_once, retry_once

NOTE_TAG = "mlflow.note.content"  # the description on MLflow's pages
PIPELINE_TAG = "headrace.pipeline"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
PROCESS_TAG = "headrace.process"
TOKEN_TAG = "headrace.token"  # noqa: S105
FLOW_TAG = "headrace.flow_run_id"
TITLE_TAG = "headrace.title"
MOST_RUNNING = 1000


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """A run in MLflow; ``status`` is MLflow's, such as FINISHED."""

    run_id: str
    status: str
    tags: dict[str, str]

    @property
    def process(self) -> Process | None:
        """The process that wrote or writes it."""
        return Process.parse(self.tags.get(PROCESS_TAG, ""))

    @property
    def flow_run_id(self) -> str:
        """The id of its Prefect flow run."""
        return self.tags.get(FLOW_TAG, "")


class Runs(logs.Logs):
    """Experiments by name, and their runs: created or resumed, found and ended."""

    def experiment(self, name: str, about: str = "") -> str:
        """The id of an experiment, which is created if it does not exist.

        Args:
            about: its description.
        """
        with tracking_errors(self.uri):
            stored = self.client.get_experiment_by_name(name)
            number = stored.experiment_id if stored else self._create_experiment(name)
            if about and not (stored and stored.tags.get(NOTE_TAG) == about):
                self.client.set_experiment_tag(number, NOTE_TAG, about)
        return str(number)

    def _create_experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        location = None if self.uri.startswith("http") else f"{self.artifacts}/{name}"
        try:
            return self.client.create_experiment(name, location, _EXPERIMENT_TAGS)
        except MlflowException:  # another process may have created it
            stored = self.client.get_experiment_by_name(name)
            if stored is None:
                raise
            return str(stored.experiment_id)

    def _experiment_ids(self) -> list[str]:
        experiments = self.client.search_experiments(max_results=50_000)
        return [experiment.experiment_id for experiment in experiments]

    @contextlib.contextmanager
    def run(
        self, experiment: str, name: str, tags: Mapping[str, str], again: str = ""
    ) -> Iterator[tuple[str, str]]:
        """An MLflow run that ends with the block, also after an error.

        Args:
            experiment: its name.
            name: of a new run.
            tags: of the run.
            again: the id of a run to resume, if it still exists.

        Yields:
            (run id, experiment id).
        """
        mlflow = import_mlflow()
        experiment_id = self.experiment(experiment)
        tags = {**tags, PROCESS_TAG: str(this_process())}
        self.end_gone(experiment_id)
        with tracking_errors(self.uri):
            run_id = self._resume(again, tags)
            run_id = run_id or self._create(experiment_id, name, tags)

        def end(status: str) -> None:
            retry_once(lambda: mlflow.end_run(status))
            retry_once(lambda: self.client.set_terminated(run_id, status))

        with self._ending(end):
            mlflow.start_run(run_id=run_id, log_system_metrics=True)
            yield run_id, experiment_id

    @contextlib.contextmanager
    def _ending(self, end: Callable[[str], None]) -> Iterator[None]:
        """End a run at the end of the block, with the status that it then has."""
        status = "FAILED"
        try:
            yield
            status = "FINISHED"
        except BaseException as error:
            status = "FAILED" if isinstance(error, Exception) else "KILLED"
            raise
        finally:
            with tracking_errors(self.uri):
                end(status)

    @contextlib.contextmanager
    def child_run(
        self,
        parent: tuple[str, str],
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> Iterator[str]:
        """The id of a run that ends with the block, also after an error.

        Args:
            parent: its run id and experiment id.
            name: of the run.
            params: nested tables flattened with dots.
            tags: of the run.
        """
        parent_id, experiment_id = parent
        own = {"mlflow.parentRunId": parent_id, PROCESS_TAG: str(this_process())}
        tags = {**tags, **own}
        with tracking_errors(self.uri):
            child = self._create(experiment_id, name, tags)
        with self._ending(partial(self.client.set_terminated, child)):
            self.log_params(child, params)
            yield child

    def _create(self, experiment_id: str, name: str, tags: Mapping[str, str]) -> str:
        """The id of a new run, created once even if responses are lost."""
        token = uuid.uuid4().hex
        tags = logs.to_mlflow_tags({**tags, TOKEN_TAG: token, "mlflow.user": self.user})
        (token_tag,) = logs.to_mlflow_tags({TOKEN_TAG: token})

        def find() -> str | None:
            runs = self._search([experiment_id], f"tags.`{token_tag}` = '{token}'")
            return str(runs[0].info.run_id) if runs else None

        def create() -> str:
            run = self.client.create_run(experiment_id, run_name=name, tags=tags)
            return str(run.info.run_id)

        return create_once(self.uri, create, find)

    def _resume(self, run_id: str, tags: Mapping[str, str]) -> str:
        """Update the tags of a run and return its id; empty if it does not exist."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return ""
        with contextlib.suppress(MlflowException):
            if self.client.get_run(run_id).info.lifecycle_stage == "active":
                self.client.log_batch(run_id, tags=logs.as_tags(tags))
                return run_id
        return ""

    def running(self) -> list[MlflowRun]:
        """The flows' runs in all experiments that are running according to MLflow."""
        with tracking_errors(self.uri):
            runs = self._running(self._experiment_ids())
        return [run for run in runs if run.flow_run_id]

    def _running(self, experiments: list[str]) -> list[MlflowRun]:
        query = "attributes.status = 'RUNNING'"
        return list(map(_as_run, self._search(experiments, query, MOST_RUNNING)))

    def _search(self, experiments: list[str], query: str, most: int = 1) -> list[Any]:
        """The newest runs that a query finds."""
        return list(self.client.search_runs(experiments, query, max_results=most))

    def end_gone(self, experiment_id: str) -> None:
        """Mark the runs of an experiment whose processes are gone as killed."""
        with tracking_errors(self.uri):
            for run in self._running([experiment_id]):
                if run.process is not None and run.process.condition == "gone":
                    self.end(run.run_id)

    def end(self, run_id: str) -> None:
        """Mark a run whose process is gone as killed, unless it has ended meanwhile."""
        with tracking_errors(self.uri):
            if self.client.get_run(run_id).info.status == "RUNNING":
                self.client.set_terminated(run_id, "KILLED")

    def find_run(self, prefix: str) -> MlflowRun:
        """The run whose id has a prefix.

        Raises:
            NotFoundError: no run has it, or several have it.
        """
        runs: list[Any] = []
        if re.fullmatch(r"[0-9a-f]+", prefix):
            query = f"attributes.run_id LIKE '{prefix}%'"
            with tracking_errors(self.uri):
                runs = self._search(self._experiment_ids(), query, 4)
        if len(runs) == 1:
            return _as_run(runs[0])
        if not runs:
            raise NotFoundError(
                f"MLflow at {self.uri} has no run {prefix!r}.",
                "Name the id of a run, or a prefix of it.",
            )
        ids = ", ".join(run.info.run_id for run in runs)
        raise NotFoundError(
            f"Several runs begin with {prefix!r}, such as {ids}.",
            "Name more of the id.",
        )

    def newest_run(self, experiment: str, tag: str) -> str:
        """The id of an experiment's newest run with a tag; empty if there is none."""
        with tracking_errors(self.uri):
            stored = self.client.get_experiment_by_name(experiment)
            (name,) = logs.to_mlflow_tags({tag: ""})
            query = f"tags.`{name}` != ''"
            runs = stored and self._search([stored.experiment_id], query)
        return str(runs[0].info.run_id) if runs else ""

    def params_of_last(self, experiment: str, title: str) -> dict[str, str]:
        """The parameters of the newest run of that title; empty if there is none."""
        (tag,) = logs.to_mlflow_tags({TITLE_TAG: ""})
        query = f"tags.`{tag}` = '{title}'"
        with tracking_errors(self.uri):
            runs = self._search([self.experiment(experiment)], query)
        return dict(runs[0].data.params) if runs else {}

    def name_by_version(self, run_id: str, version: int) -> None:
        """Name a run ``digits v3 epochs=30``: its title, with the version's number.

        A run without a title, which an older release made, keeps its name.
        """
        with tracking_errors(self.uri):
            run = _as_run(self.client.get_run(run_id))
            head, _, changes = run.tags.get(TITLE_TAG, "").partition(" ")
            if head:
                name = f"{head} v{version} {changes}".rstrip()
                self.client.update_run(run_id, name=name)

    def is_deleted(self, run_id: str) -> bool:
        """Whether a run was deleted, for good or not."""
        try:
            with tracking_errors(self.uri):
                run = self.client.get_run(run_id)
        except NotFoundError:
            return True
        return bool(run.info.lifecycle_stage != "active")

    def undelete(self, run_id: str) -> bool:
        """Restore a run that was deleted in MLflow; False if it is gone for good."""
        try:
            with tracking_errors(self.uri):
                self.client.restore_run(run_id)
        except NotFoundError:
            return False
        return True

    def run_place(self, run_id: str) -> str:
        """URI of the folder of a run's artifacts; raises NotFoundError."""
        with tracking_errors(self.uri):
            return str(self.client.get_run(run_id).info.artifact_uri)

    def run_files(self, run_id: str, folder: str) -> dict[str, bytes]:
        """The files of a folder of a run's artifacts by name, if there is one.

        Raises:
            NotFoundError: there is no such run.
            DependencyError: MLflow or its artifact store failed.
        """
        place, files = self.run_place(run_id), dict[str, bytes]()
        with tempfile.TemporaryDirectory(prefix="headrace-") as target:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                copy = fetch(self.uri, place, folder, target)
                found = [path for path in sorted(copy.iterdir()) if path.is_file()]
                files = {path.name: read_file(path) for path in found}
        return files

    def run_file(self, run_id: str, path: str, digest: str = "") -> bytes:
        """The bytes of a run's artifact, checked unless ``digest`` is empty.

        Raises:
            IntegrityError: it is gone or changed.
        """
        action = "Restore it from a backup, or train again."
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            try:
                place = self.run_place(run_id)
                content = read_file(fetch(self.uri, place, path, folder))
            except (NotFoundError, OSError) as error:
                message = f"The artifact {path} of the run {run_id} is gone."
                raise IntegrityError(message, action) from error
        if digest and hashlib.sha256(content).hexdigest() != digest:
            message = f"{path} of the run {run_id} is not what was logged."
            raise IntegrityError(message, action)
        return content


def _as_run(run: Any) -> MlflowRun:
    tags = logs.from_mlflow_tags(run.data.tags)
    return MlflowRun(run.info.run_id, run.info.status, tags)
