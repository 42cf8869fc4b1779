"""The champion, and the best former champion, that a training is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import IntegrityError
from headrace.models.logged.loading import load_version
from headrace.state.ledger import Ledger, Version
from headrace.state.ledger.former import BestFormer, find_best_former

if TYPE_CHECKING:
    from headrace.records import TrainingRecord
    from headrace.state.tracking import Tracking


class Opponents:
    """The models that a training is compared with, loaded.

    Args:
        model: the name of the pipeline.
        champion: the version to compare with; None if there is none.
        training: what is evaluated.
        ledger: of the pipeline's history.
        tracking: of the models' files.

    Attributes:
        champion: the version to compare with.
        models: the Keras model of each version, the champion's first; empty where the
            champion cannot be compared with.
        note: why it cannot; else empty.
        best: the best former champion.
        attempts: all evaluations of the pipeline, oldest first.
        versions: all versions by their number.
    """

    def __init__(
        self,
        model: str,
        champion: int | None,
        training: TrainingRecord,
        ledger: Ledger,
        tracking: Tracking,
    ) -> None:
        self.training, self.ledger, self._tracking = training, ledger, tracking
        self.attempts = ledger.attempts(model)
        self.versions = {row.version: row for row in ledger.versions(model)}
        self.champion, self.note, self.best = champion, "", BestFormer()
        self.models: dict[int, Any] = {}
        if champion is None:
            return
        self.note = self._load_champion(ledger.version(model, champion))
        if not self.note:
            self.best = self._load_best(model, champion)

    def _load_champion(self, version: Version) -> str:
        """Load it; return why it cannot be compared with, if so."""
        name = f"the champion, version {version.version}"
        try:
            loaded = load_version(self._tracking, version)
        except IntegrityError as error:
            return f"{name}: {error.message}"
        if loaded.description != self.training.description:
            return (
                f"{name}, takes items of shape {loaded.description.shape} and has "
                f"{loaded.description.task} targets that may be others: it cannot be "
                "compared with; promote by hand"
            )
        self.models[version.version] = loaded.model
        return ""

    def _load_best(self, model: str, champion: int) -> BestFormer:
        """Load the best former champion, or the best of those that still load."""
        weights, gone = self.training.weights_digest, list[int]()
        while True:
            best = find_best_former(self.ledger, model, champion, weights, gone)
            if best.version is None:
                return best
            try:
                loaded = load_version(self._tracking, self.versions[best.version])
            except IntegrityError:
                gone.append(best.version)
                continue
            self.models[best.version] = loaded.model
            return best
