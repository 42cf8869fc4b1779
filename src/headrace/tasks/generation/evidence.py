"""What the judge of one model knows besides its answers: a baseline, and its texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.imports.backend import compiled
from headrace.media.text.personal import counts
from headrace.records import Metrics
from headrace.tasks.generation import measures
from headrace.tasks.generation.data import (
    TRAIN_CHARACTERS,
    Codes,
    documents_in,
    text_of,
)
from headrace.tasks.generation.kneser_ney import ORDER, KneserNey
from headrace.tasks.generation.measures import (
    canaries,
    entropy,
    exposures,
    other_canaries,
)
from headrace.tasks.generation.writing import TEMPERATURE, Writer, write_texts

if TYPE_CHECKING:
    from headrace.pipeline import PipelineSpec
    from headrace.tasks.forms import Context

TEXTS = 200  # that are generated
MOST_CHARACTERS = 512  # of a generated text
_HIGH = 95  # percentile
_BLOCK = 256  # documents

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """What is computed once in an evaluation.

    Attributes:
        sizes: UTF-8 bytes of each test document, ``(n,)``.
        baseline: the nats of each test document by the n-gram model, ``(n,)``.
        order: of that model.
        generated: texts of the model.
        verbatim: the longest run of each that is in train.
        held_out: the same of test documents that were cut to the same greatest length.
        metrics: of the generated texts.
    """

    sizes: Ints
    baseline: Floats
    order: int
    generated: list[str]
    verbatim: Ints
    held_out: Ints
    metrics: Metrics = field(default_factory=dict)


def gather(context: Context, writer: Writer) -> TextEvidence:
    """Fit the baseline to train, let the model write texts, and measure them.

    Args:
        context: the data, and the gates.
        writer: with the model that is evaluated.

    Raises:
        IntegrityError: the snapshot is damaged.
    """
    order = order_of(context.spec)
    train = documents_in(context.train, TRAIN_CHARACTERS)
    test = documents_in(context.test)
    baseline = KneserNey(train, order).nats(test)
    sizes = np.array([len(text_of(one).encode()) for one in test])
    most = min(MOST_CHARACTERS, int(np.percentile([*map(len, test)], _HIGH)))
    written = write_texts(writer, range(TEXTS), most, TEMPERATURE)
    corpus, cut = measures.Corpus(train), [one[:most] for one in _some(test)]
    verbatim, held_out = corpus.longest_runs(written), corpus.longest_runs(cut)
    generated, real = ([*map(text_of, texts)] for texts in (written, cut))
    metrics = {
        **_verbatim_metrics(verbatim, held_out),
        **_text_metrics(generated, real),
    }
    if planted := context.spec.training.canaries:
        seed = context.spec.training.seed
        metrics |= _canary_metrics(context.model, writer, planted, seed)
    return TextEvidence(sizes, baseline, order, generated, verbatim, held_out, metrics)


def order_of(spec: PipelineSpec) -> int:
    """The order of the n-gram model, which the gate ``baseline`` may say."""
    mine = (g.arguments for g in spec.gates if g.name == "baseline" and not g.kind)
    return int(next(mine, {}).get("order", ORDER))


def _some(documents: Sequence[Codes]) -> list[Codes]:
    """As many documents as are generated; rows are in hash order, so at random."""
    return [*documents[:TEXTS]]


def _verbatim_metrics(generated: Ints, held_out: Ints) -> Metrics:
    metrics: Metrics = {}
    for name, runs in (("generated", generated), ("held_out", held_out)):
        metrics[f"{name}_verbatim_median"] = float(np.median(runs))
        metrics[f"{name}_verbatim_high"] = float(np.percentile(runs, _HIGH))
    high = max(metrics["held_out_verbatim_high"], 1.0)
    return {**metrics, "verbatim_ratio": metrics["generated_verbatim_high"] / high}


def _text_metrics(generated: Sequence[str], real: Sequence[str]) -> Metrics:
    personal = counts(pa.array(generated, pa.string()))
    metrics: Metrics = {
        "generated_personal_data": float(sum(one.sum() for one in personal.values())),
        "generated_characters": float(np.mean([len(text) for text in generated])),
    }
    for name, texts in (("generated", generated), ("held_out", real)):
        # It falls with the number of texts, so that both have as many.
        alike = texts[: min(len(generated), len(real))]
        metrics[f"{name}_distinct"] = measures.distinct_share(alike)
        metrics[f"{name}_repetition"] = measures.repetition(texts)
    excess = metrics["generated_repetition"] - metrics["held_out_repetition"]
    return {**metrics, "repetition_excess": excess}


def _canary_metrics(model: Any, writer: Writer, count: int, seed: int) -> Metrics:
    size = len(writer.characters)
    planted, not_planted = (
        _nats(model, writer.codes[ids])
        for ids in (canaries(count, seed, size), other_canaries(seed, size))
    )
    exposure = exposures(planted, not_planted)
    return {
        "canary_exposure": float(exposure.mean()),
        "canary_exposure_highest": float(exposure.max()),
        "canary_exposure_share": float(exposure.mean() / entropy(size)),
    }


def _nats(model: Any, codes: Codes) -> Floats:
    """The nats of documents of equal length ``(n, characters)``."""
    compute = compiled(model)
    parts = [codes[start : start + _BLOCK] for start in range(0, len(codes), _BLOCK)]
    return np.concatenate([compute(part)[:, 0] for part in parts]).astype(np.float64)
