"""Answers and metrics of a regression as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers
from headrace.tasks.forms import FLOAT32, Figures, Outputs, figure
from headrace.tasks.regression.labels import number

if TYPE_CHECKING:
    import pyarrow as pa


class PredictedNumber(Answers):
    OUTPUT = "value"

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """A number for each item."""
        return [float(value) for value in outputs[:, 0]]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:

        def write(output: Any) -> str:
            value = float(output[0])
            if not math.isfinite(value):
                raise FloatingPointError
            return f'"value":{FLOAT32 % value}'

        return write

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        return {"value": {"type": "number"}}

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        import pyarrow as pa

        return {"prediction": pa.array(outputs[:, 0])}

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether it is a number."""
        return not math.isnan(number(label))

    def figures(self, metrics: Figures) -> str:
        """Median and mean absolute error, and bias."""

        def value(name: str) -> str:
            return figure(metrics, f"test_{name}", ".4g")

        return (
            f"test median absolute error {value('median_absolute_error')}, mean "
            f"{value('mean_absolute_error')} ({value('mean_absolute_error_low')} to "
            f"{value('mean_absolute_error_high')}), bias {value('bias')} "
            f"({value('bias_low')} to {value('bias_high')})"
        )

    def about(self, data: DataDescription) -> str:
        return "answer one number"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The range of the targets with the largest error."""
        ranges = {n: s for n, s in slices.items() if n.startswith("range=")}
        if len(ranges) < 2:
            return []
        worst = max(ranges, key=lambda name: ranges[name]["absolute_error"] or 0)
        return [
            f"worst for true numbers from {worst.removeprefix('range=')}: mean "
            f"absolute error {ranges[worst]['absolute_error']:.4g}, "
            f"bias {ranges[worst]['bias']:.4g}"
        ]


PART = PredictedNumber()
