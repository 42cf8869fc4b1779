"""Reference models: what a recipe learns from other seeds, labels or rows.

They show what a model of the same recipe has in common with the one that is judged. The
weights of their networks are kept in the store by the recipe, the snapshot and what was
varied, so that they are fitted once. Nothing of them is logged or registered.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from headrace.data.anchored import AnchoredStore
from headrace.records import ContractRecord, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.spec.training import CHECKPOINT_FIELDS
from headrace.stages.ingredients import closure, training_roots

Weights = list[npt.NDArray[Any]]
FOLDER = "references"


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that a training depends on.

    Attributes:
        spec: of the pipeline; ``model.arguments`` and ``training`` are used.
        builder: the name of the builder.
        folder: of the pipeline, which may have a builder of its own.
        snapshot, contract: the data, without its quarantined rows.
    """

    spec: PipelineSpec
    builder: str
    folder: Path
    snapshot: SnapshotRecord
    contract: ContractRecord

    def digest(self, variation: str, *modules: str) -> str:
        """sha256 of the data, the recipe, the code and a variation of it.

        Args:
            variation: what differs from the recipe, such as ``seed 2, 4 epochs``.
            modules: the code of the variation, by name.
        """
        facts = {
            "arguments": self.spec.model.arguments,
            "training": self.spec.training.model_dump(exclude=CHECKPOINT_FIELDS),
            "builder": self.builder,
            "snapshot": self.snapshot.digest,
            "form": self.snapshot.description.model_dump_json(),
            "quarantine": Path(self.contract.quarantine_uri).name,
            "code": closure.code_state(
                [*training_roots(self.spec, self.builder), *modules],
                sorted(self.folder.glob("*.py")),
            ),
            "variation": variation,
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()

    def key(self, variation: str) -> str:
        """Where the store has the weights of a reference model."""
        return f"{FOLDER}/{self.digest(variation)}.npz"


def kept_or_made(
    recipe: Recipe,
    variations: Sequence[str],
    make: Callable[[], Mapping[str, Weights]],
    anchored: AnchoredStore,
) -> dict[str, Weights]:
    """The network weights of reference models, which are made if the store lacks one.

    Args:
        recipe: of all of them.
        variations: their names.
        make: fits all of them.
        anchored: the store, whose files count only as the ledger recorded them.

    Raises:
        DependencyError: the store or the ledger failed; and what ``make`` raises.
    """
    keys = {name: recipe.key(name) for name in variations}
    kept = {name: _unpacked(anchored.read(key)) for name, key in keys.items()}
    known = {name: weights for name, weights in kept.items() if weights is not None}
    if len(known) == len(keys):
        return known
    made = make()
    anchored.write_all({keys[name]: _packed(made[name]) for name in variations})
    return {name: made[name] for name in variations}


def _packed(weights: Weights) -> bytes:
    file = io.BytesIO()
    np.savez(file, *weights, allow_pickle=False)
    return file.getvalue()


def _unpacked(data: bytes | None) -> Weights | None:
    if data is None:
        return None
    with contextlib.suppress(ValueError, OSError, KeyError, zipfile.BadZipFile):
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return [file[f"arr_{number}"] for number in range(len(file.files))]
    return None
