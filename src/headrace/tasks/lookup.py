"""A task looked up by its name, and its parts imported when they are asked for."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast

from headrace import extensions
from headrace.records import verdict
from headrace.spec.pipeline import task_default

if TYPE_CHECKING:
    from headrace.records import GateResult
    from headrace.tasks import Answers, Contract, Head, Judge, Labels, Surveyor


class Task:
    """A task by its name.

    Args:
        name: of a package in ``headrace.tasks``, or of an entry point.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def score(self) -> str:
        """The name of an item's score, such as ``accuracy``."""
        return str(task_default(self.name, "SCORE"))

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher score is better."""
        return bool(task_default(self.name, "HIGHER_IS_BETTER"))

    @property
    def headline(self) -> str:
        """The main metric of the test split, such as ``test_accuracy``."""
        return str(task_default(self.name, "HEADLINE"))

    @property
    def shown(self) -> dict[str, str]:
        """The metrics that versions are compared by, and their short names."""
        return dict(task_default(self.name, "SHOWN"))

    @property
    def pictures(self) -> dict[str, str]:
        """The captions of the pictures of a test split, by file name."""
        return dict(task_default(self.name, "PICTURES"))

    @property
    def mistakes(self) -> str:
        """The caption of the worst answers to a test split."""
        return str(task_default(self.name, "MISTAKES") or "Worst answers")

    def result_tags(
        self, metrics: Mapping[str, float | None], gates: Sequence[GateResult]
    ) -> dict[str, str]:
        """Tags for lists of models: the headline metric, and the gates' verdict."""
        value = metrics.get(self.headline)
        shown = {} if value is None else {self.headline: f"{value:.4g}"}
        return {**shown, "verdict": verdict(gates)}

    @cached_property
    def labels(self) -> Labels:
        """How targets are stored, and how a network takes them."""
        return cast("Labels", self._part("labels"))

    @cached_property
    def contract(self) -> Contract:
        """What the contract expects of targets."""
        return cast("Contract", self._part("contract"))

    @cached_property
    def head(self) -> Head:
        """The last layers of a network, and the loss."""
        return cast("Head", self._part("head"))

    @cached_property
    def judge(self) -> Judge:
        """Scores, metrics and pictures of answers."""
        return cast("Judge", self._part("judge"))

    @cached_property
    def answers(self) -> Answers:
        """Answers and metrics as people read them."""
        return cast("Answers", self._part("answers"))

    @cached_property
    def survey(self) -> Surveyor:
        """What `headrace new` finds out."""
        return cast("Surveyor", self._part("survey"))

    def _part(self, module: str) -> Any:
        package = extensions.modules("tasks")[self.name]
        with extensions.blamed("tasks", self.name):
            return importlib.import_module(f"{package}.{module}").PART


def task_modules(name: str, *parts: str) -> list[str]:
    """The modules of these parts of a task, for the digest of a stage's code."""
    package = extensions.modules("tasks")[name]
    return [f"{package}.{part}" for part in ("defaults", *parts)]


@cache
def task(name: str) -> Task:
    """The task of a name, such as ``classification``."""
    return Task(name)
