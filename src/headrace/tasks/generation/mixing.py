"""A fitted network, mixed with an n-gram model of the same documents.

Each knows what the other does not: the network what it has generalised, the n-grams
what follows a rare sequence. The mean of their probabilities has a lower loss than
either. The shares of the n-grams are those with the lowest loss on held-out documents.

Source: F. Jelinek, R. Mercer, Interpolated estimation of Markov source parameters from
sparse data (1980), for held-out shares.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from headrace.imports.backend import compiled
from headrace.records import Metrics
from headrace.tasks.generation.documents import Codes, padded
from headrace.tasks.generation.following import find_next
from headrace.tasks.generation.mixture import SHARES, mixture_of
from headrace.tasks.generation.network import document_nats
from headrace.tasks.generation.ngrams import fit_ngrams
from headrace.tasks.generation.writing import BOUND

Floats: TypeAlias = npt.NDArray[np.float64]

_BLOCK = 2**13  # characters, padding included
_MOST, _LEAST = 0.99, 1e-300
_MARKS = "PZC"  # of Unicode's categories: punctuation, separators, line ends


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
