"""Child runs, whose metrics are sent in batches since there are many of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from headrace.state.processes import this_process
from headrace.state.tracking.connection import tracking_errors
from headrace.state.tracking.names import to_mlflow_tags, valid_name
from headrace.state.tracking.runs import PROCESS_TAG, Runs

SECONDS_PER_CALL = 2.0


class Child:
    """A child run; its metrics and tags are sent periodically and at the end.

    Attributes:
        run_id: its id.
        tags: to be sent.
    """

    def __init__(self, client: Any, uri: str, run_id: str) -> None:
        self.run_id = run_id
        self._uri = uri
        self.tags: dict[str, str] = {}
        self._client = client
        self._batch: list[Any] = []
        self._sent = time.monotonic()

    def log_metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._batch += [Metric(valid_name(k), v, now, step) for k, v in values.items()]
        if time.monotonic() - self._sent > SECONDS_PER_CALL:
            self.send()

    def send(self) -> None:
        """Send the batch."""
        from mlflow.entities import RunTag

        metrics, self._batch = self._batch, []
        tags = [RunTag(key, value) for key, value in to_mlflow_tags(self.tags).items()]
        with tracking_errors(self._uri):
            self._client.log_batch(self.run_id, metrics=metrics, tags=tags)
        self._sent = time.monotonic()


class Children(Runs):
    """Child runs."""

    @contextlib.contextmanager
    def child_run(
        self,
        parent: tuple[str, str],
        name: str,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> Iterator[Child]:
        """A run that ends with the block, also after an error.

        Args:
            parent: its run id and experiment id.
            name: of the run.
            params: nested tables flattened with dots.
            tags: of the run.
        """
        run_id, experiment_id = parent
        own = {"mlflow.parentRunId": run_id, PROCESS_TAG: str(this_process())}
        tags = {**tags, **own}
        status, child = "FAILED", None
        try:
            with tracking_errors(self.uri):
                own_id = self._create(experiment_id, name, tags)
                child = Child(self.client, self.uri, own_id)
            self.log_params(child.run_id, params)
            yield child
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            if child is not None:
                child.send()
                with tracking_errors(self.uri):
                    self.client.set_terminated(child.run_id, status)
