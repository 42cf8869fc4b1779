"""What a report asks of a run, also of one that ended early."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from headrace.pipeline import PipelineSpec
from headrace.records import (
    ChoiceRecord,
    ContractRecord,
    EvaluationRecord,
    PromotionRecord,
    SnapshotRecord,
    StageReport,
    TrainingRecord,
)


class RunSoFar(Protocol):
    """A run as far as it has come; the result of a stage is None until there is one.

    Attributes:
        reports: of the stages that were begun.
    """

    reports: list[StageReport]
    snapshot: SnapshotRecord | None
    contract: ContractRecord | None
    training: TrainingRecord | None
    evaluation: EvaluationRecord | None
    promotion: PromotionRecord | None

    @property
    def spec(self) -> PipelineSpec:
        """The pipeline, with the model that was trained or kept."""

    @property
    def choice(self) -> ChoiceRecord | None:
        """Which model was kept; None where there was none to choose from."""

    @property
    def folder(self) -> Path | None:
        """The pipeline's folder, if it is at hand."""

    @property
    def version(self) -> int | None:
        """The version of its training; None if nothing was registered."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """The fields of the law that it overrides."""
