"""Reference models, each fitted to a half of the rows; their losses are kept.

``membership/<sha256 of all that they depend on>/<number>.npy`` in the store has the
losses of one model, and the ledger the sha256 of the file. So a run that was killed
goes on with the next model, and another version of the same recipe needs none.
"""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from headrace.data.anchored import AnchoredStore
from headrace.data.snapshots.splits import read_split
from headrace.progress import Progress
from headrace.stages.evaluation.membership.losses import losses_of
from headrace.stages.evaluation.membership.rows import REFERENCES, AttackedRows
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import Data
from headrace.stages.references import Recipe

log = logging.getLogger("headrace")


@dataclass(frozen=True)
class References:
    """The reference models of an attack.

    Attributes:
        recipe: of the attacked model; each reference model has a seed of its own.
        rows: of the attack.
        anchored: keeps the losses.
    """

    recipe: Recipe
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
        own, snapshot = self.recipe, self.recipe.snapshot
        val = read_split(snapshot, "val", own.contract.quarantine_uri)
        description, training = snapshot.description, own.spec.training
        # A worker that evaluates need not have the devices of the training.
        own_seed = {"seed": training.seed + 1 + number, "devices": 1}
        seeded = training.model_copy(update=own_seed)
        spec = own.spec.model_copy(update={"training": seeded})
        data = Data(description, self.rows.half(number), val)
        fit = Fit(spec, own.folder, own.builder, data)
        model = fit.run(lambda _number, _metrics: None).model
        losses = losses_of(model, self.rows, description, training)
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
        return f"membership/{self._digest}/{number}.npy"

    @cached_property
    def _digest(self) -> str:
        return self.recipe.digest("half of the rows", __name__)


def _as_bytes(losses: npt.NDArray[np.float64]) -> bytes:
    file = io.BytesIO()
    np.save(file, losses, allow_pickle=False)
    return file.getvalue()
