"""A second opinion on labels of held-out rows, of models that have not seen train.

Two models of the pipeline's recipe are fitted, each to a half of the test rows. A test
row is answered by the model of the other half, and a row of val by both. So wrong
labels of train, and the label in question, have no part in the answers.
"""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

import numpy as np

from headrace.errors import Refusal, SpecError
from headrace.models import builder_name
from headrace.pipeline import PipelineSpec
from headrace.records import Finding
from headrace.stages.evaluation.parts import Trained
from headrace.stages.fitting import Fit
from headrace.stages.fitting.data import TrainingData
from headrace.stages.fitting.features import FrozenAnswers
from headrace.stages.fitting.shards import Chosen, Examples
from headrace.stages.references.seeds_and_labels import varied
from headrace.stages.size import size_of
from headrace.state.home import Home
from headrace.tasks import asked
from headrace.tasks.forms import AnsweredRows, Outputs

LARGEST = 1e11  # test rows x epochs x parameters
log = logging.getLogger("headrace")


class SecondOpinion:
    """The answers of models that were fitted to test rows; they are fitted when asked.

    Args:
        spec: of the judged model.
        records: of its training and data.
        home: has the backbones.

    Attributes:
        missing: why there is none, in words; empty where there is one, or none was
            asked for.
    """

    def __init__(
        self, spec: PipelineSpec, records: Trained, home: Home | None = None
    ) -> None:
        self._spec, self._records, self._test = spec, records, records.test
        self._home = home
        self.missing = ""

    def __call__(self, part: AnsweredRows) -> Outputs | None:
        """Answers to held-out rows ``(n, ...)``; None where there are none."""
        if self._models is None:
            return None
        first, second = (answers(part.items) for answers in self._models)
        if part.split != self._test.split:
            return np.asarray((first + second) / 2)
        half = self._in_first[part.places]
        return np.where(half[:, np.newaxis], second, first)

    @property
    def findings(self) -> list[Finding]:
        """That labels of held-out rows are not listed, and why."""
        if not self.missing:
            return []
        message = (
            "the model disagrees with labels of held-out rows, which are not listed: a "
            f"second opinion on them is missing, as {self.missing}"
        )
        return [Finding(check="suspects", split="test", message=message)]

    @cached_property
    def _in_first(self) -> Any:
        """The rows of test that the first model learns from; equal items together."""
        last = np.frombuffer(self._test.items().tobytes(), np.uint8)[31::32]
        return last % 2 == 0

    @cached_property
    def _models(self) -> tuple[FrozenAnswers, FrozenAnswers] | None:
        spec, records = self._spec, self._records
        size = size_of(records.training, len(self._test), spec.training.epochs)
        if spec.evaluation.depth != "full" and size > LARGEST:
            self.missing = (
                f"its models are too large (test rows x epochs x parameters: {size:.2g}"
                f', and {LARGEST:.2g} are allowed); with depth = "full" in '
                "[evaluation] they are fitted"
            )
            return None
        log.info("evaluate: fitting two models to test rows, to rank labels")
        try:
            halves = self._in_first, ~self._in_first
            first, second = (self._fitted(half) for half in halves)
        except (Refusal, SpecError) as error:
            self.missing = f"a model of test rows could not be fitted: {error.message}"
            return None
        return first, second

    def _fitted(self, half: Any) -> FrozenAnswers:
        records, rows = self._records, Chosen([self._test], half)
        spec = varied(self._spec, self._spec.training.epochs)
        training = spec.training.model_copy(update={"privacy": None})
        filled = np.flatnonzero(rows.counts)
        if not len(filled):
            raise Refusal("half of the test split is empty.")
        none = rows.read(int(filled[0]))
        val = Examples(none.items[:0], none.targets[:0])
        data = TrainingData(records.training.description, rows, val, home=self._home)
        spec = spec.model_copy(update={"training": training})
        fit = Fit(spec, records.folder, builder_name(spec), data)
        raw = asked(data.description).raw
        return FrozenAnswers(
            fit.run(lambda _number, _metrics: None).model, raw, self._home
        )
