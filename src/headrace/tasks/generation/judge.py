"""Scores, metrics and pictures of a language model; the score is a document's nats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import SpecError
from headrace.pipeline import EvaluationSpec, GateSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Judge, Judged
from headrace.tasks.forms import Outputs, Scores
from headrace.tasks.generation import evidence, pictures
from headrace.tasks.generation.evidence import TextEvidence
from headrace.tasks.generation.kneser_ney import LARGEST_ORDER, ORDER
from headrace.tasks.generation.writing import Writer
from headrace.tasks.judging import (
    bootstrap_of_ratio,
    deviation_of_ratio,
    interval_of_ratio,
    ranges_of,
    with_ends,
)

if TYPE_CHECKING:
    from headrace.tasks.forms import Context

RANGES = 4  # of the lengths of documents, with equal numbers of rows


@dataclass(frozen=True)
class JudgedDocuments(Judged):
    """The nats and the characters of documents, ``(n, 2)``."""

    judge: Surprise

    @cached_property
    def scores(self) -> Scores:
        """The nats of each document, float64 ``(n,)``."""
        return self.outputs[:, 0].astype(np.float64)

    @cached_property
    def weights(self) -> Scores:
        """The characters of each document with its end, float64 ``(n,)``."""
        return self.outputs[:, 1].astype(np.float64)

    @property
    def badness(self) -> Any:
        return self.outputs[:, 0] / self.outputs[:, 1].clip(1)

    def metrics(self, evaluation: EvaluationSpec) -> tuple[Metrics, dict[str, Metrics]]:
        """Nats and bits of the test documents; how the baseline and the texts compare.

        ``baseline_difference`` is in nats per character, below 0 where the model is
        better; its interval is from a paired bootstrap of documents.
        """
        nats, count = self.scores, self.weights
        own, total = "test_nats_per_character", float(count.sum())
        mean = float(nats.sum()) / total
        metrics = {
            **with_ends(
                own, mean, interval_of_ratio(nats, count, evaluation.confidence)
            ),
            "test_bits_per_character": mean / math.log(2),
            "non_finite_values": float((~np.isfinite(self.outputs)).sum()),
        }
        slices = _by_length(nats, count)
        facts = self.judge.evidence
        if facts is None:
            return metrics, slices
        bits = float(nats.sum()) / math.log(2)
        # The end of a document counts as a byte, as it counts as a character.
        metrics["test_bits_per_byte"] = bits / float(facts.sizes.sum() + len(nats))
        gain = nats - facts.baseline
        ends = bootstrap_of_ratio(gain, count, evaluation.confidence)
        metrics |= {
            "baseline_nats_per_character": float(facts.baseline.sum()) / total,
            "baseline_order": float(facts.order),
            **with_ends("baseline_difference", float(gain.sum()) / total, ends),
        }
        return {**metrics, **facts.metrics}, slices

    def draw(self, evaluation: EvaluationSpec, folder: Path) -> None:
        """Each document's nats beside the baseline's, and verbatim runs."""
        facts = self.judge.evidence
        if facts is None:
            return
        documents = self.scores, facts.baseline, self.weights
        pictures.draw_documents(*documents, folder / "documents.png")
        runs = facts.verbatim, facts.held_out
        pictures.draw_verbatim(*runs, folder / "verbatim.png")


@dataclass(frozen=True)
class Surprise(Judge):
    """See `headrace.tasks.Judge`.

    Attributes:
        evidence: on the judged model; None before `prepared`.
    """

    JUDGED = JudgedDocuments
    THINGS = "documents"

    evidence: TextEvidence | None = None

    @property
    def texts(self) -> Sequence[str]:
        """What the judged model wrote; nothing before `prepared`."""
        return self.evidence.generated if self.evidence else ()

    def check_gate(self, gate: GateSpec) -> None:
        """Check the order of ``baseline``; no other gate takes an argument.

        Raises:
            SpecError: the gate does not take one, or its value does not fit.
        """
        for name, value in gate.arguments.items():
            if (gate.name, name) != ("baseline", "order"):
                raise SpecError(
                    f"The gate {gate.name!r} has the argument {name} = {value!r}; of "
                    "this task's, only baseline takes one: order.",
                    "Leave it out.",
                )
            is_whole = isinstance(value, int) and value is not True
            if not is_whole or not 1 <= value <= LARGEST_ORDER:
                raise SpecError(
                    f"The gate {gate.name!r} has the argument order = {value!r}; "
                    f"expected a whole number from 1 to {LARGEST_ORDER}.",
                    f"Write for example arguments = {{ order = {ORDER} }}.",
                )

    def prepared(self, context: Context) -> Judge:
        """A judge that has fitted an n-gram model, and has read texts of the model.

        Raises:
            IntegrityError: the snapshot is damaged.
        """
        writer = Writer(context.model)
        pictures.write_page(context, writer)
        return Surprise(evidence.gather(context, writer))

    def summary(
        self, scores: Scores, confidence: float, weights: Scores | None = None
    ) -> Metrics:
        """Nats per character with their interval, and the deviation of a document."""
        ones = np.ones(len(scores)) if weights is None else weights
        ends = interval_of_ratio(scores, ones, confidence)
        deviation = deviation_of_ratio(scores, ones) * math.sqrt(len(scores))
        return {
            **with_ends("nats_per_character", float(scores.sum() / ones.sum()), ends),
            "nats_per_character_deviation": deviation,
        }

    def caption(self, output: Any, target: Any, data: DataDescription) -> str:
        """Nats per character, and the length."""
        nats, count = output.tolist()
        return (
            f"{nats / max(count, 1):.2f} nats per character\n({count:.0f} characters)"
        )

    def monitored(self, outputs: Outputs, data: DataDescription) -> dict[str, Any]:
        """Nats per character, and characters."""
        nats, count = outputs.astype(np.float64).T
        return {"nats_per_character": nats / count.clip(1), "characters": count}


def _by_length(nats: Scores, count: Scores) -> dict[str, Metrics]:
    """The metrics by length, in characters with the end; one length is in one range."""
    slices: dict[str, Metrics] = {}
    for rows in ranges_of(count, RANGES):
        low, high = int(count[rows[0]]), int(count[rows[-1]])
        slices[f"length={low}-{high}"] = {
            "rows": float(len(rows)),
            "nats_per_character": float(nats[rows].sum() / count[rows].sum()),
        }
    return slices


JUDGE = Surprise()
