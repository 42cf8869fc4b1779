"""How many suspected labels are wrong, where wrong ones are planted: ``relabel.md``.

Run it with ``python -m tests.benchmarks.labels``, with ``HEADRACE_DATA`` where the data
of `messages` is. It takes about ten minutes on two cores and prints the tables of the
docs. Labels are changed in train, in test, or in both: 5 % of all, 30 % of one group,
or 30 % of one class. Small models learn train, and each half of test. Those that were
fitted to test give the second opinion, as in a run.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.stages.evaluation.suspected import expected_wrong
from headrace.tasks.classification.suspects import find_suspects
from headrace.tasks.forms import Judged

KINDS = ("uniform", "group", "class")
WHERE = ("train", "test", "both")
NONE = ("none", "both")
TEST_SHARE = 5
CONFIDENCE = 0.95

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
    low: float
    expected: float
    high: float
    wrong: int

    @property
    def is_covered(self) -> bool:
        """Whether the interval has the truth."""
        return self.low <= self.wrong <= self.high


def planted(rows: Rows, kind: str, places: Array, chance: Any) -> Array:
    """The labels, some of them changed to another class."""
    count, classes = len(rows.labels), int(rows.labels.max()) + 1
    draws, other = chance.random(count), chance.integers(1, classes, count)
    changed = {
        "none": np.zeros(count, bool),
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
        part = Judged(split, rows.features[mine], labels[mine], names, first[mine])
        listed = find_suspects([part], [*map(str, range(99))], lambda _: second)
        if not listed:
            continue
        metrics = expected_wrong(listed, CONFIDENCE)
        low, expected, high = (
            metrics[f"suspect_labels_wrong{end}"] or 0.0
            for end in ("_low", "", "_high")
        )
        wrong = (labels != rows.labels)[[int(s.row.name) for s in listed]].sum()
        found.append(Found(split, len(listed), low, expected, high, int(wrong)))
    return found


def few_numbers(features: Any, count: int = 60) -> Array:
    """The first principal components of features, dense or sparse, to one scale."""
    from sklearn.decomposition import TruncatedSVD

    numbers = TruncatedSVD(count, random_state=0).fit_transform(features)
    return np.asarray(numbers / numbers.std(axis=0))


def digits() -> Rows:
    """The packaged digits; a quarter of them, the group, is mirrored."""
    from .images import packaged

    images, labels = packaged()
    pixels = images.reshape(-1, 28, 28).astype(np.float32) / 255
    group = np.random.default_rng(1).random(len(labels)) < 0.25
    pixels[group] = pixels[group].transpose(0, 2, 1)
    return Rows(few_numbers(pixels.reshape(-1, 784)), labels.astype(np.int64), group)


def messages() -> Rows:
    """Text messages, spam or not; the longest three in ten are the group."""
    import pyarrow.parquet as pq
    from sklearn.feature_extraction.text import TfidfVectorizer

    from headrace.settings import Settings

    root = Settings().data
    if root is None:
        raise SystemExit("Set HEADRACE_DATA to a folder with sms-spam.parquet.")
    table = pq.read_table(next(root.rglob("sms-spam.parquet")))
    texts = table["text"].to_pylist()
    labels = np.unique(table["label"].to_pylist(), return_inverse=True)[1]
    sizes = np.array([len(text) for text in texts])
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), max_features=20_000)
    numbers = few_numbers(grams.fit_transform(texts))
    return Rows(numbers, labels.astype(np.int64), sizes > np.quantile(sizes, 0.7))


def learners() -> dict[str, Learn]:
    """Models that underfit, that fit, that learn by heart, and that are never sure."""
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier

    def of(make: Callable[[int], Any]) -> Learn:
        return lambda x, y, seed: make(seed).fit(x, y).predict_proba

    def network(epochs: int) -> Callable[[int], Any]:
        return lambda seed: MLPClassifier((64,), max_iter=epochs, random_state=seed)

    return {
        "logistic regression": of(lambda seed: LogisticRegression(max_iter=200)),
        "network, 20 epochs": of(network(20)),
        "network, 100 epochs": of(network(100)),
        "trees": of(lambda seed: ExtraTreesClassifier(60, random_state=seed)),
        "nearest neighbours": of(
            lambda seed: KNeighborsClassifier(3, weights="distance")
        ),
    }


def study(seeds: int) -> Iterator[tuple[str, str, str, str, list[Found]]]:
    """(data, model, kind, where) and what was found, once for each seed."""
    for data in (digits, messages):
        rows = data()
        for name, learn in learners().items():
            for kind, where in (*itertools.product(KINDS, WHERE), NONE):
                for seed in range(seeds):
                    found = suspects_of(rows, kind, where, seed, learn)
                    yield data.__name__, name, kind, where, found


def main() -> None:
    """Print two tables: by where labels were changed, and by model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    warnings.simplefilter("ignore")
    by_case: dict[tuple[str, ...], list[Found]] = defaultdict(list)
    tried: dict[tuple[str, ...], int] = defaultdict(int)
    for data, model, kind, where, found in study(parser.parse_args().seeds):
        for split in ("train", "test"):
            for case in ((split, where, kind), (split, data, model)):
                tried[case] += 1
                by_case[case] += [f for f in found if f.split == split]
    for case, count in tried.items():
        all_of = by_case[case]
        sums = [sum(getattr(f, name) for f in all_of) for name in Found._fields[1:]]
        covered = sum(f.is_covered for f in all_of)
        cells = [*case, f"{len(all_of)} of {count}", *(f"{n:,.0f}" for n in sums)]
        sys.stdout.write(f"| {' | '.join([*cells, f'{covered}'])} |\n")


if __name__ == "__main__":
    main()
