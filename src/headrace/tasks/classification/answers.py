"""What people are told of a classifier's answers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.records import DataDescription, Metrics
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    from headrace.tasks import Answers

_OF_A_CLASS = ("f1", "precision", "recall")


class LikeliestClass:
    """See `headrace.tasks.Answers`."""

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The likeliest label of each item."""
        return [data.classes[index] for index in outputs.argmax(axis=1)]

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The label, its probability, and that of each class."""
        chosen = pa.array(self.answers(outputs, data), pa.string())
        return {
            "label": chosen,
            "probability": pa.array(outputs.max(axis=1)),
            **{
                f"probability_{name}": pa.array(outputs[:, place])
                for place, name in enumerate(data.classes)
            },
        }

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether it is a class."""
        return label in data.classes

    def figures(self, metrics: Mapping[str, float | None]) -> str:
        """Accuracy with its interval, log loss and calibration error."""

        def value(name: str) -> str:
            found = metrics.get(name)
            return f"{math.nan if found is None else found:.4f}"

        return (
            f"test accuracy {value('test_accuracy')} ({value('test_accuracy_low')} to "
            f"{value('test_accuracy_high')}), log loss {value('test_log_loss')}, "
            f"calibration error {value('test_calibration_error')}"
        )

    def about(self, data: DataDescription) -> str:
        """The classes."""
        return f"classes {', '.join(data.classes)}"

    def highlights(
        self, metrics: Metrics, slices: Mapping[str, Mapping[str, float | None]]
    ) -> list[str]:
        """The smaller of two classes: the accuracy alone does not tell."""
        classes = [name for name in slices if name.startswith("class=")]
        if len(classes) != 2:
            return []
        rare = min(classes, key=lambda name: slices[name]["rows"] or 0)
        told = ", ".join(f"{key} {slices[rare][key]:.4f}" for key in _OF_A_CLASS)
        return [f"{rare.removeprefix('class=')}: {told}"]


PART: Answers = LikeliestClass()
