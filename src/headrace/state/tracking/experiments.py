"""MLflow experiments: one for each pipeline, with a view that its pages offer.

MLflow keeps a view as a tag of the experiment, and lists it there among its views.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from headrace.state.tracking import logs
from headrace.state.tracking.connection import tracking_errors

NOTE_TAG = "mlflow.note.content"  # the description on MLflow's pages
PIPELINE_TAG = "headrace.pipeline"
VIEW_TAG = "mlflow.sharedViewState.headrace"
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
_SECTIONS = ("Results", "Model metrics", "System metrics")  # MLflow fills the others
_LINE = {"xAxisKey": "step", "scaleType": "linear", "lineSmoothness": 0, "range": {}}
_WIDTHS = {"tags.`version`": 70, "tags.`verdict`": 130, "attributes.`Dataset`": 180}


def view_of(score: str, metrics: Sequence[str]) -> str:
    """The view of an experiment on MLflow's pages, JSON: its columns and its charts.

    Args:
        score: the name of what is measured beside the loss in training.
        metrics: the names of test metrics, the main one first; two are shown.
    """
    main, other = metrics[0], metrics[1]
    version, verdict, data = _WIDTHS
    columns = [version, verdict, f"metrics.`{main}`", f"metrics.`{other}`", data]
    curves = [f"train_{score}", f"val_{score}", "train_loss", "val_loss"]
    rows = [(*curves[:2], main), (*curves[2:], other)]  # MLflow puts three in a row
    state = {
        "selectedColumns": columns,
        "columnOrder": columns,
        "columnWidths": {name: _WIDTHS.get(name, 5 * len(name)) for name in columns},
        "compareRunCharts": [
            {
                "type": "LINE" if name in curves else "BAR",
                "uuid": name,
                "metricKey": name,
                "metricSectionId": _SECTIONS[0],
                "runsCountToCompare": 10,
                **(_LINE if name in curves else {}),
            }
            for row in rows
            for name in row
        ],
        "compareRunSections": [
            {"uuid": name, "name": name, "display": name == _SECTIONS[0]}
            for name in _SECTIONS
        ],
    }
    return json.dumps(state)


class Experiments(logs.Logs):
    """Experiments by name."""

    def experiment(self, name: str, about: str = "", view: str = "") -> str:
        """The id of an experiment, which is created if it does not exist.

        Args:
            about: its description.
            view: from `view_of`.
        """
        saved = {"name": "Headrace", "createdAt": 0, "state": view}
        wanted = {NOTE_TAG: about, VIEW_TAG: json.dumps(saved) if view else ""}
        with tracking_errors(self.uri):
            stored = self.client.get_experiment_by_name(name)
            number = stored.experiment_id if stored else self._create_experiment(name)
            present = stored.tags if stored else {}
            for tag, value in wanted.items():
                if value and value != present.get(tag):
                    self.client.set_experiment_tag(number, tag, value)
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
