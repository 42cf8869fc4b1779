"""Reference models, each fitted to a half of the rows; their losses are kept.

``membership/<sha256 of all that they depend on>/<number>.npy`` in the store has the
losses of one model, and the ledger the sha256 of the file. So a run that was killed
goes on with the next model, and another version of the same recipe needs none.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from headrace.data.anchored import AnchoredStore
from headrace.data.snapshots.splits import read_split
from headrace.progress import Progress
from headrace.records import ContractRecord, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.spec.training import CHECKPOINT_FIELDS
from headrace.stages.evaluation.membership.losses import losses_of
from headrace.stages.evaluation.membership.rows import REFERENCES, AttackedRows
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import Data
from headrace.stages.ingredients import training_roots
from headrace.stages.ingredients.closure import code_state

log = logging.getLogger("headrace")


@dataclass(frozen=True)
class References:
    """The reference models of an attack.

    Attributes:
        spec: the pipeline; each model has its recipe, and a seed of its own.
        folder: of the pipeline.
        builder: the name of the builder.
        snapshot, contract: the data; quarantined rows are left out.
        rows: of the attack.
        anchored: keeps the losses.
    """

    spec: PipelineSpec
    folder: Path
    builder: str
    snapshot: SnapshotRecord
    contract: ContractRecord
    rows: AttackedRows
    anchored: AnchoredStore

    def losses(self) -> npt.NDArray[np.float64]:
        """The losses of the attacked rows by each model, ``(n, REFERENCES)``.

        Raises:
            Refusal: a training diverged, or a device is out of memory.
            IntegrityError: the snapshot is damaged.
            DependencyError: the store or the ledger failed.
        """
        columns = []
        with Progress("reference model", REFERENCES, is_listed=True) as progress:
            for number in range(REFERENCES):
                started, known = time.monotonic(), self._kept(number)
                if known is None:
                    known = self._fitted(number)
                    self.anchored.write(self._key(number), _as_bytes(known))
                    detail = f"{time.monotonic() - started:.1f} s"
                else:
                    detail = "kept"
                columns.append(known)
                progress.update(number + 1, detail)
        return np.stack(columns, axis=1)

    def _fitted(self, number: int) -> npt.NDArray[np.float64]:
        uri, description = self.contract.quarantine_uri, self.snapshot.description
        val = read_split(self.snapshot, "val", uri)
        recipe = self.spec.training
        seeded = recipe.model_copy(update={"seed": recipe.seed + 1 + number})
        spec = self.spec.model_copy(update={"training": seeded})
        data = Data(description, self.rows.half(number), val)
        fit = Fit(spec, self.folder, self.builder, data)
        model = fit.run(lambda _number, _metrics: None).model
        losses = losses_of(model, self.rows, description, recipe)
        if losses is None:
            raise ValueError("the model that is attacked showed its losses")
        return losses

    def _kept(self, number: int) -> npt.NDArray[np.float64] | None:
        data = self.anchored.read(self._key(number))
        if data is None:
            return None
        try:
            losses = np.load(io.BytesIO(data), allow_pickle=False)
        except (ValueError, OSError, EOFError):
            return None
        is_whole = losses.shape == (len(self.rows),) and losses.dtype == np.float64
        return losses if is_whole else None

    def _key(self, number: int) -> str:
        return f"membership/{self._fingerprint}/{number}.npy"

    @cached_property
    def _fingerprint(self) -> str:
        """sha256 of the data, the recipe and the code."""
        roots = [*training_roots(self.spec, self.builder), __name__]
        recipe = self.spec.training.model_dump(mode="json", exclude=CHECKPOINT_FIELDS)
        facts = {
            "snapshot": self.snapshot.digest,
            "form": self.snapshot.description.model_dump_json(),
            "quarantine": Path(self.contract.quarantine_uri).name,
            "builder": self.builder,
            "arguments": self.spec.model.arguments,
            "training": recipe,
            "code": code_state(roots, sorted(self.folder.glob("*.py"))),
        }
        text = json.dumps(facts, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def _as_bytes(losses: npt.NDArray[np.float64]) -> bytes:
    file = io.BytesIO()
    np.save(file, losses, allow_pickle=False)
    return file.getvalue()
