"""What people read and hear of a synthesis, and read of the texts in new data."""

from __future__ import annotations

import base64
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from headrace.errors import Refusal
from headrace.records import DataDescription, Finding, Metrics
from headrace.tasks import Answers, Surveyor
from headrace.tasks.forms import FLOAT32, Counts, Figures, Outputs, figure, some
from headrace.tasks.synthesis import DEFAULT_GATES
from headrace.tasks.synthesis.data import FEW_TAKES
from headrace.tasks.synthesis.distances import lengths
from headrace.tasks.synthesis.speech import as_wav
from headrace.tasks.words import Survey, ranked

_SHOWN = 20
MOST_TEXTS = 1_000
_NAMED = 10
_DIVERSITY = "diversity"  # the gate


class Sounds(Answers):
    OUTPUT = "sound"
    METRICS: ClassVar = {
        "test_text_accuracy": "Share of answers in which the recogniser hears the "
        "text.",
        "test_speaker_accuracy": "Share of answers in which the recogniser hears the "
        "speaker.",
        "test_recognised": "Share of answers in which the recogniser hears both text "
        "and speaker.",
        "recogniser_accuracy": "Share of real test recordings that the recogniser "
        "hears rightly: without this, nothing is proved.",
        "test_nearest_train_db": "The least log-spectral distance of any answer to any "
        "recording of train, in decibels.",
        "test_nearest_train_median_db": "The median distance of an answer to the "
        "nearest recording of train.",
        "test_diversity_db": "How much two takes of a text and speaker differ on "
        "average.",
        "test_global_variance": "The variance over time, as a ratio to that of real "
        "recordings.",
        "test_distortion_db": "The distance to the recording of the same row, which "
        "favours averages; no gate should rest on it.",
        "test_seconds": "The mean length of an answer.",
    }

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

    def is_label(self, label: str, data: DataDescription) -> bool:
        """Whether it is a text."""
        return label in data.texts

    def figures(self, metrics: Figures) -> str:
        """What is heard, the nearest recording, and the diversity."""
        value = functools.partial(figure, metrics)
        return (
            f"test text heard {value('test_text_accuracy')}, speaker heard "
            f"{value('test_speaker_accuracy')}, nearest recording of train "
            f"{value('test_nearest_train_db')} dB away, takes differ by "
            f"{value('test_diversity_db')} dB"
        )

    def about(self, data: DataDescription) -> str:
        """The texts and the speakers."""
        speakers = data.speakers
        named = f", speakers {', '.join(speakers)}" if speakers != ("",) else ""
        return f"texts {some(data.texts, _SHOWN)}{named}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The worst text."""
        texts = ranked(slices, "text", "text_accuracy")
        if len(texts) < 2:
            return []
        name, worst = texts[0]
        share, rows = worst["text_accuracy"], worst["rows"]
        return [f"worst text {name}: heard in {share:.0%} of {rows:.0f} rows"]


class TextSurvey(Surveyor):
    SUMMARY = "Speaks texts."
    LIMITS = "It speaks the texts of its data in their voices, and no others."

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The texts, and how many recordings there are of each."""
        texts = sorted({label for _, label in labels} - {""})
        rows = {
            split: sum(labels[split, text] for text in texts)
            for split in ("train", "test")
        }
        train = {text: labels["train", text] for text in texts}
        enough = [text for text in texts if train[text] >= FEW_TAKES]
        if not enough or 2 * len(enough) < len(texts) or len(texts) > MOST_TEXTS:
            raise Refusal(
                f"{source} has {rows['train']:,} recordings of {len(texts):,} texts in "
                f"train: of {len(enough):,} there are {FEW_TAKES} or more.",
                f"Give several recordings of each text, of {MOST_TEXTS:,} texts at "
                "most, and name the column of the texts with --label.",
            )
        few = [f"{text!r} has {train[text]:,}" for text in texts if text not in enough]
        findings = []
        if few:
            message = (
                f"these texts have less than {FEW_TAKES} recordings in train: "
                f"{some(few, _NAMED)}"
            )
            findings.append(Finding(check="takes", count=len(few), message=message))
        least, most = min(train.values()), max(train.values())
        listed = some([repr(text) for text in texts], _NAMED)
        return Survey(
            rows=rows,
            fields={},
            gates=[{"name": n, "threshold": at} for n, at in DEFAULT_GATES.items()],
            sentences=[
                f"{len(texts):,} texts, {least:,} to {most:,} recordings of each in "
                f"train: {listed}",
                "a recogniser that learned from the same recordings judges whether "
                "texts and speakers are heard; the gates ask for little: raise them "
                "after the first run",
            ],
            findings=findings,
        )

    def count_groups(
        self, survey: Survey, rows: Counter[tuple[str, str, str]]
    ) -> Survey:
        """No gate on the diversity of takes where test has no two to compare."""
        if any(count > 1 for (split, *_), count in rows.items() if split == "test"):
            return survey
        message = (
            f"no speaker has two recordings of one text in test, so {_DIVERSITY!r}, "
            "how far takes are apart, cannot be measured and is no gate here"
        )
        finding = Finding(check=_DIVERSITY, message=message)
        return replace(
            survey,
            gates=[gate for gate in survey.gates if gate["name"] != _DIVERSITY],
            findings=[*survey.findings, finding],
        )


ANSWERS = Sounds()
SURVEY = TextSurvey()
