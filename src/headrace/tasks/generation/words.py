"""What people read of a language model, and of documents in new data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.display.signs import number_of
from headrace.errors import Refusal
from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers, Surveyor
from headrace.tasks.forms import FLOAT32, Counts, Figures, Outputs, figure
from headrace.tasks.generation.kneser_ney import ORDER
from headrace.tasks.generation.learn import CROP
from headrace.tasks.generation.writing import FIRST
from headrace.tasks.words import Survey

if TYPE_CHECKING:
    import pyarrow as pa

LEAST_DOCUMENTS = 20
# With 370 kB of messages, 6 epochs gave 1.71 nats per character and 16 gave 1.81; with
# 90 kB, 8 gave 2.00, 16 gave 2.17 and 28 gave 2.52.
MOST_EPOCHS = 6
MOST_TOKENS = 8_000  # that the families have themselves
# A language of thousands of characters. On 2,880 poems with 4,900 of them, the loss was
# 6.53 nats per character with hashed n-grams after 5 epochs, and 6.15 without them and
# with a dropout of 0.7 after 8.
LARGE_SIZE = 2_000
LARGE = {"width": 96, "grams": [], "tied": True, "dropout": 0.7}
LARGE_MOST_EPOCHS = 8


class TextProbability(Answers):
    OUTPUT = "nats"
    METRICS: ClassVar = {
        "test_nats_per_character": "Negative logarithm of the probability of a "
        "character, of all test documents together, their ends counted; its interval "
        "is over documents. Lower is better.",
        "test_bits_per_character": "The nats per character, in bits.",
        "test_bits_per_byte": "Bits for each byte of the test documents; the end of a "
        "document counts as one.",
        "baseline_nats_per_character": "Nats per character of interpolated Kneser-Ney, "
        "fitted to the same rows in the run.",
        "baseline_difference": "Nats per character beyond Kneser-Ney's, below 0 where "
        "the model is better; its interval is by a paired bootstrap of documents.",
        "verbatim_ratio": "The longest run of a generated text that is verbatim in "
        "train, 95th percentile, over that of held-out documents.",
        "canary_exposure": "How far planted random texts stand out from others that "
        "were not planted, in bits; 1.4 is chance.",
        "canary_exposure_share": "The exposure as a share of the bits that such a text "
        "has, with which it could be extracted.",
        "repetition_excess": "How much more generated texts repeat of themselves than "
        "held-out ones: the difference of the two shares of repetition.",
        "generated_repetition": "The share of four-character sequences that occurred "
        "earlier in the same generated text.",
        "held_out_repetition": "The share of four-character sequences that occurred "
        "earlier in the same held-out text.",
        "generated_distinct": "The share of distinct four-character sequences in all "
        "generated texts together.",
        "held_out_distinct": "The share of distinct four-character sequences in "
        "equally many held-out texts together.",
        "generated_personal_data": "E-mail addresses, phone, ID and card numbers in "
        "generated texts.",
    }

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

    def is_label(self, label: str, data: DataDescription) -> bool:
        """No folder is named after a label: there are none."""
        return False

    def figures(self, metrics: Figures) -> str:
        """Nats per character, beside the n-gram model's."""

        def value(name: str) -> str:
            return figure(metrics, name)

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
        if "generated_verbatim_high" not in metrics:
            return []
        return [
            "generated texts have at most "
            f"{metrics['generated_verbatim_high']:.0f} characters in a row from train "
            "(95% of texts), held-out ones "
            f"{metrics['held_out_verbatim_high']:.0f}"
        ]


class DocumentSurvey(Surveyor):
    SUMMARY = "Writes texts like its own, and says how likely a text is."
    LIMITS = "It writes what is likely, and not what is true."

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The number of documents, and gates that need no figure from the user."""
        rows = {split: labels[split, ""] for split in ("train", "test")}
        if items < LEAST_DOCUMENTS or not all(rows.values()):
            documents = number_of(items, "different documents")
            raise Refusal(
                f"{source} has {documents}; at least {LEAST_DOCUMENTS} are needed, "
                f"some of them to test on.",
                "Give more texts, or say with data.separator (`--separator` of "
                "headrace new) where one long text is to be parted.",
            )
        gates: list[dict[str, Any]] = [
            {"name": "baseline", "arguments": {"order": ORDER}},
            {"name": "memorisation"},
            {"name": "repetition"},
        ]
        return Survey(
            rows=rows,
            fields={},
            gates=gates,
            sentences=[
                "nothing in one document is known from another",
                f"the gates ask for a lower loss than an n-gram model of {ORDER} "
                "characters has on the same documents, for no longer passages from "
                "train than held-out documents have, and for texts that repeat "
                "themselves hardly more than those",
            ],
        )

    def look(self, survey: Survey, items: Iterable[pa.ChunkedArray]) -> Survey:
        """The size of the vocabulary and what suits it, and the number of crops.

        A network gives a probability to each place of the vocabulary, used or not.
        """
        characters: set[str] = set()
        crops = 0
        for column in items:
            for text in column.cast("large_string").to_pylist():
                characters.update(text)
                crops += 1 + len(text) // CROP
        size = len(characters) + FIRST
        is_large = size > LARGE_SIZE
        arguments: dict[str, Any] = {**LARGE} if is_large else {}
        most = LARGE_MOST_EPOCHS if is_large else MOST_EPOCHS
        if size < MOST_TOKENS:
            arguments["max_tokens"] = size
        return replace(survey, arguments=arguments, examples=crops, most_epochs=most)


ANSWERS = TextProbability()
SURVEY = DocumentSurvey()
