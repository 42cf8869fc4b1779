"""Answers and metrics of a tagging as people read them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers
from headrace.tasks.forms import FLOAT32, Figures, Outputs, figure, some
from headrace.tasks.tagging.judge import answered
from headrace.tasks.tagging.labels import as_label, tags_of

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 3


class AllThatReach(Answers):
    OUTPUT = "probabilities"

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The tags of each item, as a list."""
        return [
            [tag for tag, has in zip(data.tags, row, strict=True) if has]
            for row in answered(outputs).tolist()
        ]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The tags, and the probability of each that is known."""
        labels = [json.dumps(name, ensure_ascii=False) for name in data.tags]
        each = ",".join(label.replace("%", "%%") + f":{FLOAT32}" for label in labels)

        def write(output: Any) -> str:
            values = output.tolist()
            if not math.isfinite(sum(values)):
                raise FloatingPointError
            own, least = values[: len(labels)], values[len(labels) :]
            pairs = zip(labels, own, least, strict=True)
            tags = ",".join(label for label, value, at in pairs if value >= at)
            return f'"tags":[{tags}],"probabilities":{{{each % tuple(own)}}}'

        return write

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        """A list of tags, and a number for each that is known."""
        names = list(data.tags)
        return {
            "tags": {"type": "array", "items": {"type": "string", "enum": names}},
            "probabilities": {
                "type": "object",
                "properties": {n: {"type": "number", "minimum": 0} for n in names},
                "required": names,
                "additionalProperties": False,
            },
        }

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The tags as a list in JSON, and the probability of each that is known."""
        import pyarrow as pa

        texts = [as_label(tags) for tags in self.answers(outputs, data)]
        columns = {"tags": pa.array(texts, pa.string())}
        for index, name in enumerate(data.tags):
            columns[f"probability_{name}"] = pa.array(outputs[:, index])
        return columns

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether all of its tags are known."""
        tags = tags_of(label, data.target.get("separator"))
        return bool(label) and set(tags) <= set(data.tags)

    def figures(self, metrics: Figures) -> str:
        """Micro F1 with its interval, macro F1, the worst tag, calibration error."""

        def value(name: str) -> str:
            return figure(metrics, f"test_{name}")

        return (
            f"test micro F1 {value('micro_f1')} ({value('micro_f1_low')} to "
            f"{value('micro_f1_high')}), macro F1 {value('macro_f1')}, worst tag "
            f"{value('tag_f1_min')}, calibration error {value('calibration_error')}"
        )

    def about(self, data: DataDescription) -> str:
        return f"tags {', '.join(data.tags)}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The tags with the lowest F1."""
        tags = [name for name in slices if name.startswith("tag=")]
        worst = sorted(tags, key=lambda name: slices[name]["f1"] or 0.0)[:_SHOWN]
        each = [f"{n.removeprefix('tag=')} {slices[n]['f1']:.4f}" for n in worst]
        return [f"lowest F1: {some(each, _SHOWN)}"] if each else []


PART = AllThatReach()
