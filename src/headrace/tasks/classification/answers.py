"""Answers and metrics of a classification as people read them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers
from headrace.tasks.forms import FLOAT32, Figures, Outputs, figure

if TYPE_CHECKING:
    import pyarrow as pa


class LikeliestClass(Answers):
    OUTPUT = "probabilities"

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The likeliest label of each item."""
        classes = data.classes
        return [classes[index] for index in outputs.argmax(axis=1).tolist()]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The likeliest label, its probability, and that of each class."""
        labels = [json.dumps(name, ensure_ascii=False) for name in data.classes]
        each = ",".join(label.replace("%", "%%") + f":{FLOAT32}" for label in labels)

        def write(output: Any) -> str:
            values = output.tolist()
            highest = max(values)
            if not math.isfinite(sum(values)):
                raise FloatingPointError
            return (
                f'"label":{labels[values.index(highest)]},"probability":'
                f'{FLOAT32 % highest},"probabilities":{{{each % tuple(values)}}}'
            )

        return write

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        """A label, and a number for each."""
        probability = {"type": "number", "minimum": 0}
        return {
            "label": {"type": "string", "enum": list(data.classes)},
            "probability": probability,
            "probabilities": {
                "type": "object",
                "properties": dict.fromkeys(data.classes, probability),
                "required": list(data.classes),
                "additionalProperties": False,
            },
        }

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The label, its probability, and that of each class."""
        import pyarrow as pa

        columns = {
            "label": pa.array(data.classes, pa.string()).take(outputs.argmax(axis=1)),
            "probability": pa.array(outputs.max(axis=1)),
        }
        for index, name in enumerate(data.classes):
            columns[f"probability_{name}"] = pa.array(outputs[:, index])
        return columns

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether it is a class."""
        return label in data.classes

    def figures(self, metrics: Figures) -> str:
        """Accuracy with its interval, log loss and calibration error."""
        value = functools.partial(figure, metrics)
        return (
            f"test accuracy {value('test_accuracy')} ({value('test_accuracy_low')} to "
            f"{value('test_accuracy_high')}), log loss {value('test_log_loss')}, "
            f"calibration error {value('test_calibration_error')}"
        )

    def about(self, data: DataDescription) -> str:
        return f"classes {', '.join(data.classes)}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """F1, precision and recall of the smaller of two classes."""
        classes = [name for name in slices if name.startswith("class=")]
        if len(classes) != 2:
            return []
        rare = min(classes, key=lambda name: slices[name]["rows"] or 0)
        names = ("f1", "precision", "recall")
        metrics_of_class = ", ".join(f"{n} {slices[rare][n]:.4f}" for n in names)
        return [f"{rare.removeprefix('class=')}: {metrics_of_class}"]


PART = LikeliestClass()
