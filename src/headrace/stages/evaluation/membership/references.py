"""The attacked rows, and their losses by a model and by reference models.

Each reference model is fitted to a half of the rows. Their losses are kept in the store
by the recipe and the snapshot, so that another version of the same recipe needs none.
Nothing of the models is logged or registered.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.snapshots.splits import read_split
from headrace.display.progress import Progress
from headrace.media.forms import Flags
from headrace.pipeline import PipelineSpec, TrainingSpec
from headrace.pipeline.training import CHECKPOINT_FIELDS
from headrace.records import ContractRecord, DataDescription, SnapshotRecord
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.features import FrozenAnswers
from headrace.stages.fitting.shards import Chosen
from headrace.stages.ingredients import closure, training_roots
from headrace.state.home import Home
from headrace.state.store import Store
from headrace.tasks import asked, task
from headrace.tasks.forms import Split

FOLDER = "references"
_AT_ONCE = 1024
Losses = npt.NDArray[np.float64]
REFERENCES = 8
MOST_ROWS = 20_000  # of each split that are attacked
# With fewer, DeLong's interval is too narrow: at a confidence of 95 % it has the area
# in 64 % of draws with 2 rows of test, in 90 % with 10, and in 94 % with 40.
LEAST_ROWS = 50
_SEED = 0


@dataclass(frozen=True, slots=True)
class ReferenceRecipe:
    """All that a training depends on.

    Attributes:
        spec: of the pipeline; ``model.arguments`` and ``training`` are used.
        builder: the name of the builder.
        folder: of the pipeline, which may have a builder of its own.
        snapshot, contract: the data, without its quarantined rows.
        home: has the backbones.
    """

    spec: PipelineSpec
    builder: str
    folder: Path
    snapshot: SnapshotRecord
    contract: ContractRecord
    home: Home | None = None

    def keys(self) -> list[str]:
        """Where the store has the losses of each model.

        A key has the sha256 of the data, the recipe, the code and the model's number.
        """
        facts = {
            "arguments": self.spec.model.facts["arguments"],
            "training": self.spec.training.model_dump(exclude=CHECKPOINT_FIELDS),
            "builder": self.builder,
            "snapshot": self.snapshot.digest,
            "form": self.snapshot.description.model_dump_json(),
            "quarantine": Path(self.contract.quarantine_uri).name,
            "code": closure.code_state(
                [*training_roots(self.spec, self.builder), __name__],
                sorted(self.folder.glob("*.py")),
            ),
        }
        texts = [
            json.dumps({**facts, "half": number}, sort_keys=True, default=str)
            for number in range(REFERENCES)
        ]
        return [
            f"{FOLDER}/{hashlib.sha256(text.encode()).hexdigest()}.npz"
            for text in texts
        ]


def losses_of(
    model: Any,
    rows: AttackedRows,
    data: DataDescription,
    training: TrainingSpec,
    home: Home | None = None,
) -> Losses | None:
    """The losses of the attacked rows ``(n,)``; None where answers show none.

    Args:
        model: a Keras model from raw questions to answers.
        rows: of the attack.
        data: of the snapshot.
        training: the recipe. Labels are not smoothed here.
        home: has the outputs of frozen layers.
    """
    head, answers = task(data.task).head, FrozenAnswers(model, asked(data).raw, home)
    plain = training.model_copy(update={"label_smoothing": 0.0})
    losses: list[Losses] = []
    for outputs, targets in answers.over(rows.attacked):
        for start in range(0, len(outputs), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            own = head.row_losses(model, outputs[some], targets[some], plain)
            if own is None:
                return None
            losses.append(own)
    return np.concatenate(losses)


def losses_of_references(
    recipe: ReferenceRecipe, rows: AttackedRows, store: Store
) -> Losses:
    """The losses of the attacked rows by each model, ``(n, REFERENCES)``.

    Args:
        recipe: of the attacked model; each reference model has a seed of its own.
        rows: of the attack.
        store: keeps the losses.

    Raises:
        Refusal: a training diverged, or a device is out of memory.
        IntegrityError: the snapshot is damaged.
        DependencyError: the store or the ledger failed.
    """
    columns: list[Losses] = []
    with Progress("reference model", REFERENCES, is_listed=True) as progress:
        for number, key in enumerate(recipe.keys()):
            kept = store.read_arrays(key)
            losses = kept[0] if kept else _fitted(recipe, rows, number)
            if not kept:  # each at once, so that a run that was killed goes on there
                store.write_arrays(key, [losses])
            columns.append(losses)
            progress.update(len(columns), "kept" if kept else "trained")
    return np.stack(columns, axis=1)


def _fitted(recipe: ReferenceRecipe, rows: AttackedRows, number: int) -> Losses:
    snapshot, training = recipe.snapshot, recipe.spec.training
    val = read_split(snapshot, "val", recipe.contract.quarantine_uri)
    # A worker that evaluates need not have the devices of the training.
    own = {"seed": training.seed + 1 + number, "devices": 1}
    seeded = training.model_copy(update=own)
    spec = recipe.spec.model_copy(update={"training": seeded})
    data = TrainingData(snapshot.description, rows.half(number), val, home=recipe.home)
    fit = Fit(spec, recipe.folder, recipe.builder, data)
    model = fit.run(lambda _number, _metrics: None).model
    losses = losses_of(model, rows, snapshot.description, training, recipe.home)
    if losses is None:
        raise ValueError("the model that is attacked showed its losses")
    return losses


class AttackedRows:
    """The rows of train, which a model learned from, and those of test.

    An item is in a half or not, however many rows it has. Each item is in exactly half
    of the halves. The first rows of a split are attacked, which are a random sample,
    each item once; items that are in both splits are left out.

    Args:
        train, test: the splits.

    Attributes:
        splits: both.
        halves: which rows of both splits, one after the other, a reference model learns
            from, bool ``(rows, REFERENCES)``.
    """

    def __init__(self, train: Split, test: Split) -> None:
        self.splits = (train, test)
        items = np.concatenate([train.items(), test.items()])
        _, first, item = np.unique(items, return_index=True, return_inverse=True)
        random = np.random.default_rng(_SEED).random((len(first), REFERENCES))
        drawn = random.argsort(axis=1) < REFERENCES // 2
        self.halves: npt.NDArray[np.bool_] = drawn[item]
        in_train, in_test = (
            np.bincount(part, minlength=len(first)) > 0
            for part in (item[: len(train)], item[len(train) :])
        )
        once = np.zeros(len(items), bool)
        once[first] = True
        once &= ~(in_train & in_test)[item]
        once[MOST_ROWS : len(train)] = False
        once[len(train) + MOST_ROWS :] = False
        self._chosen = np.flatnonzero(once)

    def __len__(self) -> int:
        return len(self._chosen)

    @cached_property
    def is_member(self) -> Flags:
        """Which of the attacked rows are of train, bool ``(n,)``."""
        return np.asarray(self._chosen < len(self.splits[0]), bool)

    @property
    def inside(self) -> Flags:
        """The halves that each attacked row is in, bool ``(n, REFERENCES)``."""
        return self.halves[self._chosen]

    @property
    def is_enough(self) -> bool:
        """Whether there are `LEAST_ROWS` rows of each split."""
        members = int(self.is_member.sum())
        return min(members, len(self) - members) >= LEAST_ROWS

    def half(self, number: int) -> Chosen:
        """The rows that a reference model learns from."""
        return Chosen(self.splits, self.halves[:, number])

    @cached_property
    def attacked(self) -> Chosen:
        """The rows whose membership is guessed, from both splits."""
        chosen = np.zeros(len(self.halves), bool)
        chosen[self._chosen] = True
        return Chosen(self.splits, chosen)
