"""All that differs between tasks, one package each, looked up by name.

A task is what is learned of an item; its medium is what the item is. A package here
has four modules with the objects of a `Task`, which have what their protocols list. The
protocols are in the modules of the same names here:

- ``data``: `LABELS`, `CONTRACT` and, where a model is not asked about a row's item,
  `QUESTIONS`
- ``learn``: `HEAD`
- ``judge``: `JUDGE` and, where answers are explained, `EXPLAINED`
- ``words``: `ANSWERS` and `SURVEY`; ``speech`` has `SPEECH`, where models say messages

The stages call these objects, and never compare names. What a stage depends on is a
module, so what no stage needs is apart from what they need. The package itself has
constants, which are read without an import.

A snapshot stores targets as text in a column ``label``, which is empty where a row has
none. In memory they are arrays ``(n, ...)``. Every test item has one score. The
champion's test, the groups and the worst items are computed from these scores.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from headrace.display.signs import as_score
from headrace.errors import UsageError
from headrace.imports import extensions
from headrace.imports.extensions import task_default
from headrace.media import medium
from headrace.records import (
    DataDescription,
    GateResult,
    verdict,
)
from headrace.tasks.data import Contract, Labels, Questions
from headrace.tasks.judge import Explained, Judge, Judged
from headrace.tasks.learn import Head
from headrace.tasks.words import Answers, Speech, Surveyor

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.media.forms import Payload
    from headrace.tasks.forms import Figures

__all__ = ["Answers", "Contract", "Explained", "Head", "Judge", "Judged", "Labels"]
__all__ += ["Questions", "Speech", "Surveyor"]

_MODULES = {
    "labels": "data",
    "questions": "data",
    "contract": "data",
    "head": "learn",
    "judge": "judge",
    "explained": "judge",
    "answers": "words",
    "survey": "words",
    "speech": "speech",
}


class Task:
    """A task by its name; its parts are imported when they are asked for.

    Args:
        name: of a package in ``headrace.tasks``, or of an entry point.

    Attributes:
        score: the name of an item's score, such as ``accuracy``.
        higher_is_better: whether a higher score is better.
        training_score: the name of what is measured beside the loss in training, where
            that is not the score.
        headline: the main metric of the test split, such as ``test_accuracy``.
        mean_scores: the metrics that are proportional to the mean score of a test
            split, and the metric that is this mean.
        shown: the metrics that versions are compared by, and their short names.
        pictures: the captions of the pictures of a test split, by file name.
        mistakes: the caption of the worst answers to a test split.
        takes: what the body of a family must yield, such as ``vector``.
        joins_parts: whether an item that is longer than a model's shape can be answered
            in parts; see `Answers.join`.
        labelled: whether a row needs a label.
        writes: whether its models write texts.
        asks: whether its models are asked something else than items: `questions`.
        explains: whether answers are explained: `explained`.
        speaks: whether its models say messages: `speech`.
    """

    labels: Labels
    contract: Contract
    head: Head
    judge: Judge
    answers: Answers
    survey: Surveyor
    questions: Questions
    explained: Explained
    speech: Speech

    def __init__(self, name: str) -> None:
        self.name = name
        self.score = str(task_default(name, "SCORE"))
        self.higher_is_better = bool(task_default(name, "HIGHER_IS_BETTER"))
        self.training_score = str(task_default(name, "TRAINING_SCORE") or self.score)
        self.headline = str(task_default(name, "HEADLINE"))
        self.mean_scores: dict[str, str] = task_default(name, "MEAN_SCORES") or {}
        self.shown: dict[str, str] = task_default(name, "SHOWN") or {}
        self.pictures: dict[str, str] = task_default(name, "PICTURES") or {}
        self.mistakes = str(task_default(name, "MISTAKES") or "Worst answers")
        self.takes = str(task_default(name, "TAKES") or "vector")
        self.joins_parts = bool(task_default(name, "JOINS_PARTS"))
        self.labelled = task_default(name, "LABELLED") is not False
        self.writes = bool(task_default(name, "WRITES"))
        self.asks = bool(task_default(name, "ASKS"))
        self.explains = bool(task_default(name, "EXPLAINS"))
        self.speaks = bool(task_default(name, "SPEAKS"))

    def result_tags(
        self, metrics: Figures, gates: Sequence[GateResult]
    ) -> dict[str, str]:
        """Tags for lists of models: the headline metric, and the gates' verdict."""
        value = metrics.get(self.headline)
        shown = {} if value is None else {self.headline: as_score(value)}
        return {**shown, "verdict": verdict(gates)}

    def __getattr__(self, part: str) -> Any:
        """Import a part when it is first asked for."""
        if part not in _MODULES:
            raise AttributeError(part)
        package = extensions.modules("tasks")[self.name]
        with extensions.blamed("tasks", self.name):
            module = importlib.import_module(f"{package}.{_MODULES[part]}")
            value = getattr(module, part.upper())
        setattr(self, part, value)
        return value


def task_modules(name: str, *own: str) -> list[str]:
    """Modules of a task for the digest of a stage's code.

    Args:
        own: of this stage, beside those that all stages depend on.
    """
    package = extensions.modules("tasks")[name]
    return [package, *(f"{package}.{module}" for module in ("data", *own))]


@cache
def task(name: str) -> Task:
    """The task of a name, such as ``classification``."""
    return Task(name)


def difference(one: DataDescription, other: DataDescription) -> str:
    """The first field by which the answers of two models cannot be compared, or empty.

    A fact on targets that only pads them does not count; see ``PADDING`` of a task.
    """
    for name in type(one).model_fields:
        if name != "target" and getattr(one, name) != getattr(other, name):
            return name
    padding = task_default(one.task, "PADDING") or ()
    facts = sorted((one.target.keys() | other.target.keys()).difference(padding))
    return next((n for n in facts if one.target.get(n) != other.target.get(n)), "")


def asked(data: DataDescription) -> Questions:
    """The forms of what the models of some data are asked: see `Questions`."""
    if task(data.task).asks:
        return task(data.task).questions
    return cast(Questions, medium(data.medium))


def question_shape(data: DataDescription) -> tuple[int, ...]:
    """The shape of what models of some data are asked: see `Questions.shape`."""
    if task(data.task).asks:
        return task(data.task).questions.shape(data)
    return data.shape


def asks_items(data: DataDescription) -> bool:
    """Whether a question is made of an item alone: see `Questions.OF_ITEMS`."""
    return not task(data.task).asks or task(data.task).questions.OF_ITEMS


def check_asks_items(name: str, data: DataDescription) -> None:
    """Refuse to give items to a model that is asked something else.

    Raises:
        UsageError: a question is not made of an item alone.
    """
    if not asks_items(data):
        raise UsageError(
            f"{name} is a model for {data.task}: it does not take {data.medium} items.",
            "Ask it in Python or by `headrace serve`.",
        )


def questions_of(
    items: Payload,
    labels: pa.ChunkedArray,
    groups: Sequence[str],
    data: DataDescription,
) -> Payload:
    """What models are asked about some rows: their items, or `Questions.of` them."""
    if task(data.task).asks:
        return task(data.task).questions.of(items, labels, groups, data)
    return items
