"""Reference models: what a recipe learns from other seeds, labels or rows.

They show what a model of the same recipe has in common with the one that is judged. The
weights of their networks, or their losses, are kept in the store by the recipe, the
snapshot and what was varied, so that they are fitted once. Nothing of them is logged or
registered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from headrace.pipeline import PipelineSpec
from headrace.pipeline.training import CHECKPOINT_FIELDS
from headrace.records import ContractRecord, SnapshotRecord
from headrace.stages.ingredients import closure, training_roots
from headrace.state.home import Home
from headrace.state.store import Store

Weights = list[npt.NDArray[Any]]
FOLDER = "references"


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

    def keys(self, variations: Sequence[str], *modules: str) -> dict[str, str]:
        """Where the store has what reference models have learned, by variation.

        A key has the sha256 of the data, the recipe, the code and the variation.

        Args:
            variations: what differs from the recipe, such as ``seed 2, 4 epochs``.
            modules: the code of the variations, by name.
        """
        facts = {
            "arguments": self.spec.model.facts["arguments"],
            "training": self.spec.training.model_dump(exclude=CHECKPOINT_FIELDS),
            "builder": self.builder,
            "snapshot": self.snapshot.digest,
            "form": self.snapshot.description.model_dump_json(),
            "quarantine": Path(self.contract.quarantine_uri).name,
            "code": closure.code_state(
                [*training_roots(self.spec, self.builder), *modules],
                sorted(self.folder.glob("*.py")),
            ),
        }
        keys = {}
        for name in variations:
            every = {**facts, "variation": name}
            text = json.dumps(every, sort_keys=True, default=str)
            keys[name] = f"{FOLDER}/{hashlib.sha256(text.encode()).hexdigest()}.npz"
        return keys


def kept_or_made(
    keys: Mapping[str, str], make: Callable[[str], Weights], store: Store
) -> Iterator[tuple[str, Weights, bool]]:
    """What reference models have learned, such as their weights.

    Each is kept as soon as it is made, so that a run that was killed goes on there.

    Args:
        keys: from `ReferenceRecipe.keys`.
        make: fits the model of a variation.
        store: has what is kept.

    Yields:
        the variation, its arrays, and whether they were kept.

    Raises:
        DependencyError: the store or the ledger failed; and what ``make`` raises.
    """
    for name, key in keys.items():
        stored = store.read_arrays(key)
        weights = make(name) if stored is None else stored
        if stored is None:
            store.write_arrays(key, weights)
        yield name, weights, stored is not None
