"""Lists all runs and logged models in MLflow, and deletes them for good.

What is listed has Headrace's tags: another tool's runs are never touched. Files are
deleted before the row that names them, so a killed deletion can be found and ended.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from headrace.errors import NotFoundError
from headrace.state.tracking import logs
from headrace.state.tracking.artifacts import local_path, repository
from headrace.state.tracking.connection import tracking_errors
from headrace.state.tracking.models import Tracking
from headrace.state.tracking.runs import PROCESS_TAG

_PAGE = 1000
_PARENT = "mlflow.parentRunId"
_OURS = "headrace."


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in MLflow.

    Attributes:
        experiment: the name of its experiment, which is that of the model.
        parent: the id of the run that it is a child of; empty if none.
        began, ended: seconds since 1970; ``ended`` is 0 while it runs.
        is_training: whether it has the record of a training.
        snapshot: the digest of its data; empty if it has none.
        place: URI of its artifacts.
    """

    run_id: str
    experiment: str
    parent: str
    began: float
    ended: float
    is_training: bool
    snapshot: str
    place: str


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A logged model in MLflow; ``run_id`` is the run that logged it."""

    model_id: str
    run_id: str
    experiment: str
    began: float
    place: str


class Disposal(Tracking):
    """MLflow, with what only the collection of old runs needs."""

    def stored_runs(self) -> list[StoredRun]:
        """All runs with Headrace's tags, deleted ones included, newest first."""
        from mlflow.entities import ViewType

        names = self._experiments()

        def search(page: str | None) -> Any:
            everything = [*names], "", ViewType.ALL, _PAGE
            return self.client.search_runs(*everything, page_token=page)

        with tracking_errors(self.uri):
            runs = [_as_stored(run, names) for run in _paged(search) if _is_ours(run)]
        return sorted(runs, key=lambda run: run.began, reverse=True)

    def stored_models(self) -> list[StoredModel]:
        """All logged models of Headrace's experiments."""
        names = self._experiments()

        def search(page: str | None) -> Any:
            return self.client.search_logged_models([*names], page_token=page)

        with tracking_errors(self.uri):
            return [
                StoredModel(
                    model.model_id,
                    str(model.source_run_id or ""),
                    names[model.experiment_id],
                    model.creation_timestamp / 1000,
                    str(model.artifact_location),
                )
                for model in _paged(search)
            ]

    def artifact_bytes(self, place: str) -> int:
        """The size of all files below a folder of artifacts; 0 where it is remote."""
        folder = local_path(place)
        files = (path for path in folder.rglob("*") if path.is_file()) if folder else ()
        return sum(path.lstat().st_size for path in files)

    def delete_run(self, run: StoredRun) -> None:
        """Delete a run's artifacts, and then the run."""
        self._delete_artifacts(run.place)
        with contextlib.suppress(NotFoundError), tracking_errors(self.uri):
            if self.client.get_run(run.run_id).info.lifecycle_stage == "active":
                self.client.delete_run(run.run_id)
            if rows := self._rows():
                rows._hard_delete_run(run.run_id)

    def delete_artifacts_but(self, run: StoredRun, spared: Collection[str]) -> int:
        """Delete a run's artifacts except some folders; returns how many were deleted.

        Args:
            spared: names of files and folders at the top that stay.
        """
        with tracking_errors(self.uri):
            place = repository(self.uri, run.place)
            paths = [file.path for file in place.list_artifacts(None)]
            paths = [path for path in paths if path not in spared]
            for path in paths:
                place.delete_artifacts(path)
        return len(paths)

    def delete_artifact(self, run_id: str, path: str) -> None:
        """Delete one file of a run's artifacts; raises NotFoundError for no such run.

        Args:
            run_id: of a run that has the file.
            path: below the run's artifacts.
        """
        with tracking_errors(self.uri):
            repository(self.uri, self.run_place(run_id)).delete_artifacts(path)

    def delete_logged_model(self, model: StoredModel) -> None:
        """Delete a logged model's files, and then the model."""
        self._delete_artifacts(model.place)
        with contextlib.suppress(NotFoundError), tracking_errors(self.uri):
            self.client.delete_logged_model(model.model_id)
            if rows := self._rows():
                rows._hard_delete_logged_model(model.model_id)

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version from the registry; its number is not used again."""
        with contextlib.suppress(NotFoundError), tracking_errors(self.uri):
            self.client.delete_model_version(name, str(version))

    def _experiments(self) -> dict[str, str]:
        with tracking_errors(self.uri):
            experiments = self.client.search_experiments(max_results=50_000)
        return {one.experiment_id: one.name for one in experiments}

    def _delete_artifacts(self, place: str) -> None:
        folder = local_path(place)
        if folder is not None and not folder.exists():
            return
        with tracking_errors(self.uri), contextlib.suppress(FileNotFoundError):
            repository(self.uri, place).delete_artifacts()
        if folder is not None:  # the empty folder named by the run's or model's id
            with contextlib.suppress(OSError):
                folder.parent.rmdir()

    def _rows(self) -> Any:
        """MLflow's store of a database, as ``mlflow gc`` uses it; None of a server."""
        if self.uri.startswith(("http:", "https:")):
            return None
        from mlflow.store.tracking import sqlalchemy_store

        store_type: Any = sqlalchemy_store.SqlAlchemyStore
        return store_type(self.uri, "mlflow-artifacts:/")


def _is_ours(run: Any) -> bool:
    return PROCESS_TAG in logs.from_mlflow_tags(run.data.tags)


def _as_stored(run: Any, names: dict[str, str]) -> StoredRun:
    tags = logs.from_mlflow_tags(run.data.tags)
    return StoredRun(
        run_id=run.info.run_id,
        experiment=names[run.info.experiment_id],
        parent=tags.get(_PARENT, ""),
        began=(run.info.start_time or 0) / 1000,
        ended=(run.info.end_time or 0) / 1000,
        is_training=f"{_OURS}pipeline" in tags,
        snapshot=tags.get(f"{_OURS}snapshot", ""),
        place=str(run.info.artifact_uri),
    )


def _paged(search: Callable[[str | None], Any]) -> Iterator[Any]:
    """All that a search finds, which gives a page for a token."""
    token = None
    while True:
        yield from (page := search(token))
        if not (token := page.token):
            return
