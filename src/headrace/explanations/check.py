"""The check of explanations, which trains nothing, and what is shown by its verdict.

A method that draws much the same whatever a model has learned says nothing about the
model (J. Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018). So values
are compared with those of the same network with random weights. And the strongest
pieces must decide more than others: without them the number must fall by more than
without as many pieces at random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from headrace.explanations.occlusion import Floats, Item, Part, batches, numbers_of
from headrace.media import medium
from headrace.media.forms import Payload, Removal
from headrace.models.logged.loading import answers
from headrace.records import DataDescription, Metrics, Record
from headrace.tasks import task

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

SHUFFLES, RANDOM_PARTS, PART = 5, 5, 0.2
MOST_ITEMS, FEWEST_ITEMS = 24, 8
MOST_PIECES = 400  # of these items together
FEWEST_PIECES = 4  # of an item, whose values can be ranked
# Of the correlation of each shuffle, by which the mean of all has an interval of 90 %:
# the 95th percentile of Student's t with 4 degrees of freedom.
_T = 2.132
_SEED = 2_018
RANDOM_WEIGHTS = "occlusion_random_weights"  # of every evaluation that has checked them
DELETED, DELETED_AT_RANDOM = "occlusion_top_fifth", "occlusion_random_fifth"
P_VALUE = "occlusion_p_value"
MOST_ALIKE, LARGEST_P = 0.1, 0.05
SENTENCES = {
    RANDOM_WEIGHTS: "Rank correlation of the model's explanations with those of its "
    "network with random weights, with an interval of 90 %.",
    DELETED: "How far the explained number falls without the strongest fifth of the "
    "pieces of an item.",
    DELETED_AT_RANDOM: "How far it falls without a fifth of the pieces at random.",
    P_VALUE: "How likely the strongest pieces would lead the others so far by chance.",
}


def checkable(items: Iterable[Item]) -> list[Item]:
    """The first items that are checked; none where too few have enough pieces."""
    fit: list[Item] = []
    pieces = 0
    for item in items:
        own = int(item.pieces.present.sum())
        if own < FEWEST_PIECES:
            continue
        pieces += own
        if len(fit) >= FEWEST_ITEMS and pieces > MOST_PIECES:
            break
        fit.append(item)
    return fit[:MOST_ITEMS] if len(fit) >= FEWEST_ITEMS else []


def check(
    network: Any,
    first: Callable[[Payload], Payload],
    items: Sequence[Item],
    data: DataDescription,
) -> tuple[Metrics, list[Floats]]:
    """Measure whether explanations depend on the weights, and find what decides.

    Random weights are the network's own in random order within each array, so that
    their sizes are natural in any architecture. The classes of such a network mean
    nothing, so that one at random is explained of each item.

    Args:
        network: a Keras model with the weights that were fitted; it has them again at
            the end.
        first: what gives its input for raw items; asked once for all weights.
        items: from `checkable`.
        data: of the model.

    Returns:
        the metrics that `verdict_of` reads, and the values of each item.
    """
    random = np.random.default_rng(_SEED)
    removals = [item.removals() for item in items]
    own, *others = _numbers(network, first, items, removals, data, random)
    ends = np.cumsum([len(each) for each in removals])[:-1]
    values = _changes(own, ends)
    alike = np.array([_likeness(values, _changes(one, ends)) for one in others])
    margin = _T * alike.std(ddof=1) / np.sqrt(len(alike))
    metrics = {
        RANDOM_WEIGHTS: alike.mean(),
        f"{RANDOM_WEIGHTS}_low": alike.mean() - margin,
        f"{RANDOM_WEIGHTS}_high": alike.mean() + margin,
    }

    def answer(raw: Payload) -> Any:
        return answers(network, first(raw))

    metrics |= _deleted(answer, items, values, data, random)
    found = {name: float(v) for name, v in metrics.items() if np.isfinite(v)}
    return found, [i.values(n) for i, n in zip(items, np.split(own, ends), strict=True)]


def _numbers(
    network: Any,
    first: Callable[[Payload], Payload],
    items: Sequence[Item],
    removals: Sequence[Sequence[Removal]],
    data: DataDescription,
    random: np.random.Generator,
) -> list[Floats]:
    """The numbers of all removals, by the network's own weights and by random ones."""
    explained, raw = task(data.task).explained, medium(data.medium).raw
    chosen = np.array([item.chosen for item in items], np.int32)
    weights = network.get_weights()
    every = [(weights, chosen)]
    for _ in range(SHUFFLES):
        shuffled = [random.permutation(w.ravel()).reshape(w.shape) for w in weights]
        every.append((shuffled, explained.at_random(chosen, data, random)))
    numbers: list[list[Floats]] = [[] for _ in every]
    try:
        for rows, stored in batches(items, removals):
            given = first(raw(stored))
            for own, (others, asked) in zip(numbers, every, strict=True):
                network.set_weights(others)
                own.append(explained.numbers(answers(network, given), asked[rows]))
    finally:
        network.set_weights(weights)
    return [np.concatenate(own) for own in numbers]


def _changes(numbers: Floats, ends: npt.NDArray[np.intp]) -> list[Floats]:
    """What each piece that is present does, of each item."""
    return [own[0] - own[1:] for own in np.split(numbers, ends)]


def _deleted(
    answer: Callable[[Payload], Any],
    items: Sequence[Item],
    values: Sequence[Floats],
    data: DataDescription,
    random: np.random.Generator,
) -> Metrics:
    """How far the number falls without the strongest fifth of pieces, and others.

    Args:
        answer: the model.
        items: that are checked.
        values: of the pieces that are present.
        data: of the model.
        random: chooses the other pieces.
    """
    from scipy.stats import wilcoxon

    removals: list[list[Removal]] = []
    for item, own in zip(items, values, strict=True):
        present = np.flatnonzero(item.pieces.present)
        count = max(1, round(PART * len(present)))
        top = present[np.argsort(-own, kind="stable")[:count]].tolist()
        others = [
            random.choice(present, count, replace=False).tolist()
            for _ in range(RANDOM_PARTS)
        ]
        removals.append([(), top, *others])
    numbers = np.array(numbers_of(answer, items, removals, data))
    falls = numbers[:, :1] - numbers[:, 1:]
    top, others = falls[:, 0], falls[:, 1:].mean(axis=1)
    is_same = bool((top == others).all())
    p_value = 1.0 if is_same else wilcoxon(top - others, alternative="greater").pvalue
    return {
        DELETED: top.mean(),
        DELETED_AT_RANDOM: others.mean(),
        P_VALUE: p_value,
    }


def _likeness(ours: Sequence[Floats], theirs: Sequence[Floats]) -> float:
    """The mean rank correlation of the values of items."""
    both = zip(ours, theirs, strict=True)
    return float(np.mean([rank_correlation(one, other) for one, other in both]))


def rank_correlation(one: Floats, other: Floats) -> float:
    """Spearman's correlation of numbers ``(n,)``; 0 if one of them is constant."""
    first, second = _ranks(one), _ranks(other)
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float(first @ second) / scale if scale else 0.0


def _ranks(values: Floats) -> Floats:
    """Ranks around 0; equal values share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks = (ends - (counts - 1) / 2)[places]
    return np.asarray(ranks - ranks.mean())


class Verdict(Record):
    """Whether explanations are shown.

    Attributes:
        status: only what has passed is shown.
        reason: a sentence without its full stop.
    """

    status: Literal["passed", "failed", "unchecked"]
    reason: str

    @property
    def sentence(self) -> str:
        """What a page says."""
        if self.status == "passed":
            return f"Explanations passed their check: {self.reason}."
        return f"Not shown: {self.reason}."


def verdict_of(metrics: Mapping[str, float | None]) -> Verdict:
    """The verdict on explanations, by the metrics of an evaluation."""
    alike, low = (metrics.get(RANDOM_WEIGHTS + end) for end in ("", "_low"))
    top, others, p_value = map(metrics.get, (DELETED, DELETED_AT_RANDOM, P_VALUE))
    if alike is None or low is None:
        return Verdict(
            status="unchecked",
            reason="explanations were not checked: the evaluation was quick, too few "
            "test items have four pieces or more, or the model is not made of "
            "pre-processing and network",
        )
    if top is None or others is None or p_value is None:
        return Verdict(status="failed", reason="explanations are not finite")
    figures = f"rank correlation {alike:.2f} with random weights"
    falls = (
        f"the number falls by {top:.3g} without the strongest fifth of the pieces and "
        f"by {others:.3g} without a random fifth"
    )
    if low > MOST_ALIKE:
        reason = (
            f"explanations are too much like those of random weights ({figures}; not "
            f"more than {MOST_ALIKE:g} is allowed)"
        )
        return Verdict(status="failed", reason=reason)
    if p_value > LARGEST_P:
        reason = f"the strongest pieces do not decide: {falls} (p = {p_value:.2g})"
        return Verdict(status="failed", reason=reason)
    return Verdict(status="passed", reason=f"{figures}; {falls}")


def version_verdict(model: str, version: int | None, ledger: Ledger) -> Verdict:
    """The verdict on a version, by its last evidence that has one.

    Args:
        model: its name.
        version: None: it is not registered.
        ledger: with its evidence.

    Raises:
        DependencyError: the ledger does not answer.
    """
    every = [] if version is None else ledger.evidence_of(model, version)
    for evidence in reversed(every):
        if RANDOM_WEIGHTS in evidence.metrics:
            return verdict_of(evidence.metrics)
    return verdict_of({})


class Explanation(Record):
    """Which pieces of an item speak for the answer to it.

    Attributes:
        answer: the same as a server answers.
        words: the answer in words.
        unit: of the values of the parts.
        sanity: whether explanations of the version are shown.
    """

    model: str
    version: int | None
    answer: dict[str, Any]
    words: str
    unit: str
    of: str = Field(default="", description="the class or tag that the parts are about")
    sanity: Verdict
    parts: tuple[Part, ...] = Field(
        default=(),
        description="all pieces, the strongest first; none unless the check has passed",
    )
