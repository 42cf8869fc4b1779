"""Labels that models which have not seen them disagree with, ranked.

Five models of the pipeline's recipe are fitted, each without one fold of all rows: the
rows of a group, or equal items, are in one fold. So each row is answered by a model
that saw neither it nor its group, and a label that was learned by heart cannot hide.
Rows are ranked by how much that model prefers another class: its probability minus that
of the label. Source: C. G. Northcutt, L. Jiang, I. L. Chuang, Confident learning,
Journal of Artificial Intelligence Research 70 (2021).
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import SplitRows
from headrace.display.progress import counted
from headrace.errors import Refusal, UsageError
from headrace.imports.backend import load_backend
from headrace.media.arrow import as_hex
from headrace.models import builder_name
from headrace.pipeline import PipelineSpec
from headrace.records import ContractRecord, SnapshotRecord
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.features import FrozenAnswers
from headrace.stages.fitting.shards import Chosen, Examples
from headrace.state.home import Home
from headrace.tasks import asked

FOLDS = 5
MOST = 50


class Suspect(NamedTuple):
    """A row whose label is worth a look.

    Attributes:
        preference: by how much another class is likelier than the label, 0 to 1.
        item: its sha256.
        name: of the row in the source.
        likely: the class that the model proposes.
    """

    preference: float
    item: str
    name: str
    split: str
    label: str
    likely: str


def find_suspects(
    spec: PipelineSpec,
    folder: Path,
    snapshot: SnapshotRecord,
    contract: ContractRecord,
    home: Home,
) -> list[Suspect]:
    """The rows whose labels models that have not seen them disagree with the most.

    Args:
        spec: whose recipe the models are fitted by.
        folder: of the pipeline, which may have a builder of its own.
        snapshot, contract: the data, without its quarantined rows.
        home: has the backbones.

    Returns:
        at most `MOST`, the largest preference first.

    Raises:
        UsageError: the answers are no classes, or the training is private.
        Refusal: all rows are of one group, or the training diverges.
        IntegrityError: the snapshot is damaged.
    """
    if not snapshot.description.classes:
        raise UsageError(
            f"{spec.name} is a pipeline for {spec.task}, whose labels are no classes.",
            "`headrace open` shows its worst answers.",
        )
    if spec.training.privacy is not None:
        raise UsageError(
            f"{spec.name} trains privately, and five more models of its data would "
            "spend epsilon again.",
            "Review its labels before it trains on them.",
        )
    load_backend()
    splits = [
        SplitRows(snapshot, split, contract.quarantine_uri)
        for split in ("train", "val", "test")
    ]
    folds = folds_of(splits)
    found: list[Suspect] = []
    for fold in counted(range(FOLDS), "relabel", "models"):
        answers = _fitted(spec, folder, splits, folds != fold, home)
        found += _disagreed(answers, splits, folds == fold, snapshot)
        found = heapq.nlargest(MOST, found)
    return found


def folds_of(splits: Sequence[SplitRows]) -> npt.NDArray[np.int64]:
    """The fold of each row of some splits, one split after the other, ``(n,)``.

    The largest groups are spread first, each to the smallest fold.

    Raises:
        Refusal: all rows are of one group.
    """
    keys: list[Any] = []
    for rows in splits:
        items = rows.items().tolist()
        if any(rows.groups()):
            groups = itertools.chain.from_iterable(part.groups for part in rows)
            items = [one or item for one, item in zip(groups, items, strict=True)]
        keys += items
    sizes, filled = Counter(keys), [0] * FOLDS
    if len(sizes) < 2:
        raise Refusal("All rows are of one group, so no model can do without it.")
    fold: dict[Any, int] = {}
    for key, count in sizes.most_common():
        fold[key] = filled.index(min(filled))
        filled[fold[key]] += count
    return np.array([fold[key] for key in keys], np.int64)


def _fitted(
    spec: PipelineSpec,
    folder: Path,
    splits: Sequence[SplitRows],
    learned: npt.NDArray[np.bool_],
    home: Home,
) -> FrozenAnswers:
    """The answers of a model of some rows, fitted for all epochs of the recipe."""
    changes = {"patience": 0, "callbacks": (), "metrics": (), "devices": 1}
    training = spec.training.model_copy(update=changes)
    spec = spec.model_copy(update={"training": training})
    rows, data = Chosen(splits, learned), splits[0].snapshot.description
    some = rows.read(int(np.flatnonzero(rows.counts)[0]))
    none = Examples(some.items[:0], some.targets[:0])
    fit = Fit(
        spec, folder, builder_name(spec), TrainingData(data, rows, none, home=home)
    )
    model = fit.run(lambda _number, _metrics: None).model
    return FrozenAnswers(model, asked(data).raw, home)


def _disagreed(
    answers: FrozenAnswers,
    splits: Sequence[SplitRows],
    held: npt.NDArray[np.bool_],
    snapshot: SnapshotRecord,
) -> Iterator[Suspect]:
    """The held-out rows whose label is not the likeliest class."""
    classes, bounds = snapshot.description.classes, np.cumsum([len(s) for s in splits])
    for rows, own in zip(splits, np.split(held, bounds[:-1]), strict=True):
        items, done = as_hex(rows.items()[own].tobytes()).to_pylist(), 0
        chosen = Chosen([rows], own)
        for shard in np.flatnonzero(chosen.counts).tolist():
            part = chosen.read(shard)
            outputs = answers(part.questions)
            likely, every = outputs.argmax(axis=1), np.arange(len(outputs))
            ahead = outputs[every, likely] - outputs[every, part.targets]
            for row in np.flatnonzero(ahead > 0).tolist():
                yield Suspect(
                    preference=round(float(ahead[row]), 4),
                    item=items[done + row],
                    name=part.names[row],
                    split=rows.split,
                    label=classes[int(part.targets[row])],
                    likely=classes[int(likely[row])],
                )
            done += len(outputs)
