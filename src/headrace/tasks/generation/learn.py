"""Crops of documents, cross entropy over their characters, and the model that is saved.

A crop begins where its document does, or amid it: there the first character is given
and not predicted, and the states are zeros, as at a begin.

A fitted network may be mixed with an n-gram model of the same documents. Each knows
what the other does not: the network what it has generalised, the n-grams what follows a
rare sequence. The mean of their probabilities has a lower loss than either. The shares
of the n-grams are those with the lowest loss on held-out documents (F. Jelinek, R.
Mercer, Interpolated estimation of Markov source parameters from sparse data, 1980).
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.errors import SpecError
from headrace.imports.backend import compiled
from headrace.media.forms import Payload
from headrace.pipeline import TrainingSpec
from headrace.records import DataDescription, Metrics
from headrace.tasks import Head
from headrace.tasks.forms import Lazy, Outputs, Targets
from headrace.tasks.generation.data import (
    TRAIN_CHARACTERS,
    Codes,
    documents_in,
    documents_of,
    padded,
)
from headrace.tasks.generation.following import find_next
from headrace.tasks.generation.measures import canaries
from headrace.tasks.generation.network import SHARES, document_nats, mixture_of
from headrace.tasks.generation.ngrams import fit_ngrams
from headrace.tasks.generation.writing import BOUND, FIRST, vocabulary_of

if TYPE_CHECKING:
    from headrace.tasks.forms import Example, Shards
    from headrace.tasks.learn import Fitting

CROP = 64  # predicted characters
Floats: TypeAlias = npt.NDArray[np.float64]
_BLOCK = 2**13  # characters, padding included
_MOST, _LEAST = 0.99, 1e-300
_MARKS = "PZC"  # of Unicode's categories: punctuation, separators, line ends


class NextCharacter(Head):
    HAS_EXAMPLES = True

    def output_shape(self, data: DataDescription) -> tuple[int, ...]:
        """The nats of a document, and the number of its characters."""
        return (2,)

    def examples(self, part: Example, fitting: Fitting) -> tuple[Payload, Any]:
        """Crops of documents as ids, int32 ``(k, CROP + 1)``, and zeros ``(k,)``."""
        documents = documents_of(part.items)
        ids = ids_of(documents, fitting.preprocessing)
        seed = fitting.training.seed
        crops = np.array([crop for one in ids for crop in crops_of(one, seed)])
        return crops, np.zeros(len(crops), np.int32)

    def planted(self, fitting: Fitting) -> tuple[Payload, Any] | None:
        """The canaries that the recipe asks for, as crops."""
        seed, texts = fitting.training.seed, self._canaries(fitting)
        if not texts:
            return None
        crops = np.array([crop for text in texts for crop in crops_of(text, seed)])
        return crops, np.zeros(len(crops), np.int32)

    def _canaries(self, fitting: Fitting) -> list[Codes]:
        size = len(vocabulary_of(fitting.preprocessing)) - FIRST
        return [*canaries(fitting.training.canaries, fitting.training.seed, size)]

    def compose(self, preprocessing: Any, network: Any, data: DataDescription) -> Any:
        """From code points int32 ``(n, characters)`` to float32 ``(n, 2)``."""
        import keras
        from keras import ops

        raw = keras.Input((None,), dtype="int32", name=data.medium)
        ids = ops.cast(preprocessing(raw), "int32")
        window = ops.pad(ids, [[0, 0], [1, 1]])  # the bounds
        return keras.Model(raw, network(window), name="model")

    def check_network(self, network: Any, data: DataDescription, builder: str) -> None:
        """Refuse a network that does not give ``(batch, 2)``, or holds no ``next``."""
        shape = tuple(network.outputs[0].shape)
        if shape != (None, 2):
            raise SpecError(
                f"The builder {builder} gives outputs of shape {shape}; generation "
                "needs the nats of each document, and the number of its characters.",
                "Give headrace.tasks.generation.network.document_nats of a model of "
                "the next one.",
            )
        find_next(network)

    def head(
        self, data: DataDescription, targets: Lazy, options: Mapping[str, Any]
    ) -> list[Any]:
        """None: the family gives the whole network."""
        return []

    def losses(
        self, network: Any, targets: Any, outputs: Any, training: TrainingSpec
    ) -> Any:
        """The nats of each crop, divided by the longest number of characters."""
        return outputs[:, 0] / CROP

    def training_scores(self, targets: Any, outputs: Any) -> Any:
        """The nats per character of each crop."""
        from keras import ops

        return outputs[:, 0] / ops.maximum(outputs[:, 1], 1.0)

    def complete(
        self, model: Any, fitting: Fitting, train: Shards, val: Example
    ) -> tuple[Any, Metrics]:
        """The fitted model, mixed with n-grams where the recipe asks for them."""
        order, held_out = fitting.training.ngrams, documents_of(val.items)
        if not order or not held_out:
            return model, {}

        prepare = fitting.preprocessing
        train_ids = ids_of(documents_in(train, TRAIN_CHARACTERS), prepare)
        train_ids += self._canaries(fitting)
        held = ids_of(held_out, prepare)
        marks = marks_of(vocabulary_of(prepare))
        network, shares = mix(fitting.network, train_ids, held, order, marks)
        return self.compose(prepare, network, fitting.data), shares

    def validation_metrics(
        self, network: Any, outputs: Outputs, targets: Targets
    ) -> Metrics:
        """Nats per character of all documents together; the loss is the same."""
        nats, count = outputs.astype(np.float64).sum(axis=0).tolist()
        return {"val_loss": nats / count, "val_nats_per_character": nats / count}


def ids_of(documents: list[Codes], preprocessing: Any) -> list[Codes]:
    """The ids of documents ``(characters,)`` each, in one call."""
    joined = np.concatenate([np.empty(0, np.int32), *documents])
    ids = np.asarray(preprocessing(joined[np.newaxis]), np.int32)[0]
    return np.split(ids, np.cumsum([len(one) for one in documents])[:-1])


def crops_of(ids: Codes, seed: int) -> Iterator[Codes]:
    """The crops of one document, int32 ``(CROP + 1,)`` each, padded with zeros.

    The second begins at random within the first, by the seed and the document, so that
    crops do not begin at the same places of all documents.

    Args:
        ids: of its characters, ``(characters,)``.
        seed: of the fit.
    """
    window = np.concatenate([[0], ids, [0]]).astype(np.int32)
    digest = hashlib.sha256(f"{seed} ".encode() + window.tobytes()).digest()
    second = 1 + int.from_bytes(digest[:4], "big") % CROP
    rest = range(second, len(window) - 1, CROP) if len(window) > CROP + 1 else ()
    for start in (0, *rest):
        crop = np.zeros(CROP + 1, np.int32)
        part = window[start : start + CROP + 1]
        crop[: len(part)] = part
        yield crop


def mix(
    network: Any,
    train: Sequence[Codes],
    held_out: Sequence[Codes],
    order: int,
    marks: Sequence[int],
) -> tuple[Any, Metrics]:
    """Mix a network with n-grams.

    Args:
        network: from `document_nats`, fitted.
        train: ids of the documents that it was fitted to, ``(characters,)`` each.
        held_out: those of others, by which the shares are chosen.
        order: the length of the longest n-grams.
        marks: from `marks_of`.

    Returns:
        (a network of documents, the shares of the n-grams). It has the layers of the
        fitted one.
    """
    following = find_next(network)
    tables = fit_ngrams(train, int(following.outputs[0].shape[-1]), order)
    mixture, shown = mixture_of(following, tables, marks)
    own_mark, gram_mark, own, by_grams = _said(shown, held_out)
    shares = best_share(own_mark, gram_mark), best_share(own, by_grams)
    mixture.get_layer(SHARES).set_weights([np.array([shares], np.float32)])
    metrics = dict(zip(("ngram_share_of_marks", "ngram_share"), shares, strict=True))
    return document_nats(following, mixture), metrics


def marks_of(codes: Sequence[int]) -> list[int]:
    """The ids of marks: the bound, punctuation and blanks.

    Args:
        codes: the code point of each id; 0 and -1 are none.
    """
    return [
        BOUND,
        *(
            id_
            for id_, code in enumerate(codes)
            if code > 0 and unicodedata.category(chr(code))[0] in _MARKS
        ),
    ]


def best_share(first: Floats, second: Floats) -> float:
    """The share of the second of two probabilities with the highest likelihood.

    Args:
        first, second: of each character, ``(n,)``.
    """
    from scipy import optimize

    def loss(share: float) -> float:
        mixed = (1 - share) * first + share * second
        return float(-np.log(np.maximum(mixed, _LEAST)).mean())

    best = optimize.minimize_scalar(loss, bounds=(0, _MOST), method="bounded")
    return float(best.x)


def _said(model: Any, documents: Sequence[Codes]) -> Floats:
    """What network and n-grams say of each character, ``(4, n)``."""
    compute, parts = compiled(model), []
    ordered = sorted(documents, key=len)
    while ordered:
        rows = max(1, _BLOCK // (len(ordered[-1]) + 2))
        windows = np.pad(padded(ordered[-rows:]), ((0, 0), (1, 1)))
        block = compute(windows)
        parts.append(block[block[..., -1] > 0, :-1])
        del ordered[-rows:]
    return np.concatenate(parts).astype(np.float64).T


HEAD = NextCharacter()
