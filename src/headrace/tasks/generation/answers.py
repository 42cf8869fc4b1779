"""Answers and metrics of a language model as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers
from headrace.tasks.forms import FLOAT32, Figures, Outputs, figure

if TYPE_CHECKING:
    import pyarrow as pa


class TextProbability(Answers):
    OUTPUT = "nats"
    ARE_SUMS = True

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """Nats per character of each text, its end included."""
        return [float(nats / max(count, 1)) for nats, count in outputs]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The nats of the text, its characters, and their ratio."""

        def write(output: Any) -> str:
            nats, count = output.tolist()
            if not math.isfinite(nats):
                raise FloatingPointError
            return (
                f'"nats_per_character":{FLOAT32 % (nats / max(count, 1))},"nats":'
                f'{FLOAT32 % nats},"characters":{count:.0f}'
            )

        return write

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        number, whole = {"type": "number"}, {"type": "integer", "minimum": 1}
        return {"nats_per_character": number, "nats": number, "characters": whole}

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The nats of each text, its characters, and their ratio."""
        import pyarrow as pa

        nats, count = outputs[:, 0], outputs[:, 1].astype("int64")
        return {
            "nats_per_character": pa.array(nats / count.clip(1)),
            "nats": pa.array(nats),
            "characters": pa.array(count),
        }

    def known(self, label: str, data: DataDescription) -> bool:
        """No folder is named after a label: there are none."""
        return False

    def figures(self, metrics: Figures) -> str:
        """Nats per character, beside the n-gram model's."""

        def value(name: str) -> str:
            return figure(metrics, name, ".3f")

        own = "test_nats_per_character"
        text = f"test nats per character {value(own)} ({value(f'{own}_low')} to "
        text += f"{value(f'{own}_high')})"
        if metrics.get("baseline_nats_per_character") is not None:
            text += (
                f", Kneser-Ney {value('baseline_nats_per_character')} (difference "
                f"{value('baseline_difference_low')} to "
                f"{value('baseline_difference_high')})"
            )
        return text

    def about(self, data: DataDescription) -> str:
        """A probability, and texts."""
        return "give the probability of a text, and write texts"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """How generated texts compare with held-out ones."""
        lines = []
        if "generated_verbatim_high" in metrics:
            lines.append(
                "generated texts have at most "
                f"{metrics['generated_verbatim_high']:.0f} characters in a row from "
                "train (95 % of texts), held-out ones "
                f"{metrics['held_out_verbatim_high']:.0f}"
            )
        if "generated_form" in metrics:
            lines.append(
                f"{metrics['generated_form']:.0%} of generated texts keep the form, "
                f"and {metrics['held_out_form']:.0%} of held-out ones"
            )
        if "generated_rhyme" in metrics:
            lines.append(
                f"{metrics['generated_rhyme']:.0%} of the even lines of generated "
                f"texts rhyme, and {metrics['held_out_rhyme']:.0%} of held-out ones"
            )
        return lines


PART = TextProbability()
