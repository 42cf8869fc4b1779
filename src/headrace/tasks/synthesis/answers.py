"""Answers and metrics of a synthesis as people read them, and hear them."""

from __future__ import annotations

import base64
import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers
from headrace.tasks.forms import FLOAT32, Figures, Outputs, figure, some
from headrace.tasks.synthesis.distances import lengths
from headrace.tasks.synthesis.players import as_wav

_SHOWN = 20


class Sounds(Answers):
    OUTPUT = "sound"

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The samples of each sound up to its end, float32 ``(samples,)``."""
        ends = lengths(outputs).tolist()
        return [sound[:end] for sound, end in zip(outputs, ends, strict=True)]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The length in seconds, the sample rate, and a WAV file in base64."""
        rate = data.sample_rate_hz

        def write(output: Any) -> str:
            if not np.isfinite(output).all():
                raise FloatingPointError
            end = int(lengths(output[np.newaxis])[0])
            file = base64.b64encode(as_wav(output[:end], rate)).decode()
            seconds = FLOAT32 % (end / rate)
            return f'"seconds":{seconds},"sample_rate_hz":{rate},"wav":"{file}"'

        return write

    def json_schema(self, data: DataDescription) -> dict[str, Any]:
        """A length, a rate, and a file."""
        return {
            "seconds": {"type": "number", "exclusiveMinimum": 0},
            "sample_rate_hz": {"type": "integer", "const": data.sample_rate_hz},
            "wav": {"type": "string", "contentEncoding": "base64"},
        }

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The length in seconds, and a WAV file."""
        rate = data.sample_rate_hz
        sounds = self.answers(outputs, data)
        files = [as_wav(sound, rate) for sound in sounds]
        return {
            "seconds": pa.array([len(sound) / rate for sound in sounds], pa.float32()),
            "wav": pa.array(files, pa.binary()),
        }

    def known(self, label: str, data: DataDescription) -> bool:
        """Whether it is a text."""
        return label in data.texts

    def figures(self, metrics: Figures) -> str:
        """What is heard, the nearest recording, and the diversity."""
        value = functools.partial(figure, metrics)
        return (
            f"test text heard {value('test_text_accuracy')}, speaker heard "
            f"{value('test_speaker_accuracy')}, nearest recording of train "
            f"{value('test_nearest_train_db', '.1f')} dB away, takes differ by "
            f"{value('test_diversity_db', '.1f')} dB"
        )

    def about(self, data: DataDescription) -> str:
        """The texts and the speakers."""
        speakers = data.speakers
        named = f", speakers {', '.join(speakers)}" if speakers != ("",) else ""
        return f"texts {some(data.texts, _SHOWN)}{named}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The comparison with the average of recordings, and the worst text."""
        lines = []
        if "template_recognised" in metrics:
            better, worse = (
                int(metrics[f"{name}_than_template"]) for name in ("better", "worse")
            )
            lines.append(
                f"an average of the recordings is recognised in "
                f"{metrics['template_recognised']:.4f} of the rows; the model alone is "
                f"in {better}, the average alone in {worse} "
                f"(p = {metrics['template_p_value']:.2g})"
            )
        texts = {n: s for n, s in slices.items() if n.startswith("text=")}
        if len(texts) > 1:
            worst = min(texts, key=lambda name: texts[name]["text_accuracy"] or 0)
            share, rows = (texts[worst][name] for name in ("text_accuracy", "rows"))
            name = worst.removeprefix("text=")
            lines.append(f"worst text {name}: heard in {share:.0%} of {rows:.0f} rows")
        return lines


PART = Sounds()
