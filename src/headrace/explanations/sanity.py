"""The sanity check: are maps of other models unlike, and those of another seed alike?

Weights are put into the model's own network, so that nothing is compiled anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.explanations.items import Explainer, Item, Method
from headrace.explanations.places import Map
from headrace.explanations.verdict import ERROR
from headrace.records import Metrics

SHUFFLES = 2  # networks with random weights; one alone may be alike by chance
_SEED, _FEWEST = 2_018, 4  # places of a map that can be ranked
Weights = Sequence[npt.NDArray[Any]]


def check_sanity(
    explainer: Explainer, items: Sequence[Item], others: Mapping[str, Weights]
) -> Metrics:
    """Compare maps of a model with those of other weights, for each method.

    Random weights are the model's own in random order within each array, so that their
    sizes are natural in any architecture. The classes of models with random weights or
    labels mean nothing, so that one at random is explained of each.

    Args:
        explainer: of the model, which has its weights again at the end. Of a network
            with a frozen part, only the rest is given other weights.
        items: a random sample.
        others: the weights of the network by ``random_labels`` and ``other_seed``.

    Returns:
        the metrics that `verdict_of` reads.
    """
    metrics: Metrics = {}
    own = {method: explainer.maps(items, method) for method in explainer.methods}
    if "gradients" in own:
        errors = [one.error for one in own["gradients"]]
        metrics[ERROR] = float(np.percentile(errors, 95))
    if explainer.network is None:
        return metrics
    every = {"random_weights": _shuffled(explainer.network)}
    every |= {name: [weights] for name, weights in others.items()}
    for name, networks in every.items():
        asked = items if name == "other_seed" else explainer.of_any_answer(items)
        alike: dict[Method, list[float]] = {method: [] for method in own}
        for weights in networks:
            with other_weights(explainer.network, weights):
                for method, maps in own.items():
                    theirs = explainer.maps(asked, method, refine=False)
                    alike[method].append(likeness(maps, theirs))
        for method, values in alike.items():
            metrics[f"{method}_{name}"] = float(np.mean(values))
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _shuffled(network: Any) -> list[Weights]:
    own = network.get_weights()
    random = np.random.default_rng(_SEED)
    return [
        [random.permutation(w.ravel()).reshape(w.shape) for w in own]
        for _ in range(SHUFFLES)
    ]


@contextmanager
def other_weights(network: Any, weights: Weights) -> Iterator[None]:
    """Give a network other weights in this block."""
    own = network.get_weights()
    try:
        network.set_weights(weights)
        yield
    finally:
        network.set_weights(own)


def likeness(ours: Sequence[Map], theirs: Sequence[Map]) -> float:
    """The mean rank correlation (Spearman) of signed maps over what is present.

    A map with one value everywhere is like none: 0. Items with fewer than four places
    do not count.

    Args:
        ours, theirs: maps of the same items, in order.
    """
    values = [
        rank_correlation(one.values[one.present], other.values[one.present])
        for one, other in zip(ours, theirs, strict=True)
        if one.present.sum() >= _FEWEST
    ]
    return float(np.mean(values)) if values else float("nan")


def rank_correlation(
    one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> float:
    """Spearman's correlation of numbers ``(n,)``; 0 if one of them is constant."""
    first, second = _ranks(one), _ranks(other)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float(first @ second) / scale if scale else 0.0


def _ranks(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Ranks around 0; equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places]
    return np.asarray(ranks - ranks.mean())
