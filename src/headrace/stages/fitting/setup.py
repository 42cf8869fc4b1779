"""The parts of a fit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.models.logged.loading import answers
from headrace.pipeline import TrainingSpec
from headrace.stages.fitting.augmentation import Augmenter
from headrace.stages.fitting.data import Inputs
from headrace.stages.fitting.execution import Execution
from headrace.tasks import Task
from headrace.tasks.forms import Outputs

if TYPE_CHECKING:
    from headrace.stages.fitting.privacy import Privacy


@dataclass(frozen=True, slots=True)
class Setup:
    """The parts of a fit.

    Attributes:
        model: pre-processing and network, for the validation split.
        network: the fitted one; where its beginning is frozen, the rest.
        inputs: of the network.
        spec: the recipe.
        execution: how steps are computed.
        strategy: of the devices; the networks were built in its scope.
        task: what is learned.
        folder: of the pipeline.
        privacy: the plan of a private fit.
        augmentation: of the items, if the recipe asks for one.
    """

    model: Any
    network: Any
    inputs: Inputs
    spec: TrainingSpec
    execution: Execution
    strategy: Any
    task: Task
    folder: Path
    privacy: Privacy | None = None
    augmentation: Augmenter | None = None

    @property
    def variables(self) -> list[Any]:
        """Those of the model, and of the network's parts that are not in it.

        Without what is frozen, which a checkpoint need not have.
        """
        cut = self.inputs.cut
        frozen = set(map(id, cut.prefix.variables if cut else ()))
        own = [v for v in self.model.variables if id(v) not in frozen]
        ids = set(map(id, own))
        return own + [v for v in self.network.variables if id(v) not in ids]

    @property
    def facts(self) -> dict[str, Any]:
        """What must be equal for a fit to resume."""
        privacy = self.privacy.facts if self.privacy else {}
        return {**asdict(self.execution), **privacy}

    def validation(self) -> Outputs:
        """The model's answers to the validation split, ``(rows, ...)``."""
        inputs = self.inputs
        is_prepared = inputs.preprocessing is None and not inputs.asks_model
        return answers(self.network if is_prepared else self.model, inputs.val.items)
