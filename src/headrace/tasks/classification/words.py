"""What people read of a classification, and of its classes in new data."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.display.signs import as_score, number_of
from headrace.errors import Refusal
from headrace.records import DataDescription, Finding, Metrics
from headrace.tasks import Answers, Surveyor
from headrace.tasks.forms import (
    FLOAT32,
    Counts,
    Figures,
    Outputs,
    figure,
    natural_order,
    some,
)
from headrace.tasks.words import Survey, ranked

if TYPE_CHECKING:
    import pyarrow as pa

UNBALANCED = 0.8
# A gate where one class dominates. Of two classes, the majority-class baseline of macro
# F1 is below 0.5.
MACRO_F1 = {"name": "macro_f1", "metric": "test_macro_f1", "threshold": 0.6}
STANDARD_ERRORS = 3
LEAST_ROWS = 2  # of a class in train: a single one may be a typing error
_NAMED, _SHOWN = 10, 5


class LikeliestClass(Answers):
    OUTPUT = "probabilities"
    METRICS: ClassVar = {
        "test_accuracy": "Share of test items with the right label; its interval is "
        "Wilson's score interval.",
        "test_log_loss": "Mean negative logarithm of the probability of the right "
        "label.",
        "test_calibration_error": "Expected calibration error: the mean gap between "
        "confidence and accuracy, over evaluation.calibration_bins bins.",
        "test_class_recall_min": "The lowest recall of a class.",
        "test_macro_f1": "The mean F1 of all classes.",
    }

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The likeliest label of each item."""
        classes = data.classes
        return [classes[index] for index in outputs.argmax(axis=1).tolist()]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The likeliest label, its probability, and that of each class."""
        labels = [json.dumps(name, ensure_ascii=False) for name in data.classes]
        each = ",".join(label.replace("%", "%%") + f":{FLOAT32}" for label in labels)

        def write(output: Any) -> str:
            values = output.tolist()
            highest = max(values)
            if not math.isfinite(sum(values)):
                raise FloatingPointError
            return (
                f'"label":{labels[values.index(highest)]},"probability":'
                f'{FLOAT32 % highest},"probabilities":{{{each % tuple(values)}}}'
            )

        return write

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The label, its probability, and that of each class."""
        import pyarrow as pa

        columns = {
            "label": pa.array(data.classes, pa.string()).take(outputs.argmax(axis=1)),
            "probability": pa.array(outputs.max(axis=1)),
        }
        for index, name in enumerate(data.classes):
            columns[f"probability_{name}"] = pa.array(outputs[:, index])
        return columns

    def is_label(self, label: str, data: DataDescription) -> bool:
        """Whether it is a class."""
        return label in data.classes

    def figures(self, metrics: Figures) -> str:
        """Accuracy with its interval, log loss and calibration error."""
        value = functools.partial(figure, metrics)
        return (
            f"test accuracy {value('test_accuracy')} ({value('test_accuracy_low')} to "
            f"{value('test_accuracy_high')}), log loss {value('test_log_loss')}, "
            f"calibration error {value('test_calibration_error')}"
        )

    def about(self, data: DataDescription) -> str:
        return f"classes {', '.join(data.classes)}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """F1, precision and recall of the smaller of two classes."""
        classes = ranked(slices, "class", "rows")
        if len(classes) != 2:
            return []
        label, rare = classes[0]
        names = ("f1", "precision", "recall")
        return [
            f"{label}: {', '.join(f'{name} {as_score(rare[name])}' for name in names)}"
        ]


class ClassSurvey(Surveyor):
    SUMMARY = "Tells classes of items apart."
    LIMITS = "It answers with one of its classes whatever it is given."

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The classes with enough rows, and a gate above the majority baseline.

        It is three standard errors above, but at most halfway to 1, so that a good
        model passes where the test split is small.
        """
        names, left_out = _classes(source, labels, items, rejected)
        train, test = (
            {name: labels[split, name] for name in names} for split in ("train", "test")
        )
        rows = {"train": sum(train.values()), "test": sum(test.values())}
        label, largest = max(test.items(), key=lambda pair: pair[1])
        share = largest / rows["test"]
        needed = math.ceil((2 * STANDARD_ERRORS) ** 2 * share / (1 - share))
        is_few = rows["test"] < needed
        threshold = _threshold(share, rows["test"])
        reason = "three standard errors more"
        if is_few:
            reason = f"half of the way to 1, as three standard errors take {needed:,}"
        ties = [*test.values()].count(largest) - 1
        tie = f", as large as {ties} other{'s' * (ties > 1)}," if ties else ""
        gate = {"name": "accuracy", "threshold": threshold}
        message = (
            f"the {rows['test']:,} test rows are too few for a gate of three standard "
            f"errors above always saying {label!r} ({share:.1%}), which takes "
            f"{needed:,}: it asks for {threshold:.1%}"
        )
        few = Finding(
            check="few_rows", split="test", count=rows["test"], message=message
        )
        return Survey(
            rows=rows,
            fields={"classes": names},
            gates=[gate, MACRO_F1] if share > UNBALANCED else [gate],
            sentences=[
                f"{len(names)} classes: {some(names, _NAMED)}",
                f"always saying {label!r}{tie} would be right for {share:.1%} of the "
                f"test rows; the gate asks for {threshold:.1%}, {reason}: "
                "raise it after the first run",
                *(f"left out: {name!r}, {why}" for name, why in left_out.items()),
            ],
            findings=[few] if is_few else [],
            class_rows=[*train.values()],
        )


def _threshold(share: float, rows: int) -> float:
    """The accuracy that the gate asks for; see `ClassSurvey.survey`.

    Args:
        share: of the largest class of test.
        rows: of test.
    """
    bound = share + STANDARD_ERRORS * math.sqrt(share * (1 - share) / rows)
    bound = min(bound, (1 + share) / 2)
    rounded = math.ceil(bound * 1000) / 1000
    return rounded if rounded < 1 else math.floor(bound * 1e6) / 1e6


def _classes(
    source: str, counts: Counts, items: int, rejected: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """The labels with enough rows; the others, and how many rows they have, in words.

    Raises:
        Refusal: fewer than two classes have enough rows.
    """
    labels = natural_order({label for _, label in counts})
    learnt = [label for label in labels if counts["train", label] >= LEAST_ROWS]
    enough = [label for label in learnt if counts["test", label]]
    if len(enough) < 2:
        raise _too_little(source, counts, labels, items)
    left_out = {
        label: f"{number_of(counts['train', label] + counts['test', label], 'rows')} "
        "in all"
        for label in labels
        if label not in enough
    }
    unreadable = natural_order(set(rejected) - {"", *labels})
    return enough, left_out | dict.fromkeys(unreadable, "no row that can be read")


def _too_little(
    source: str, counts: Counts, labels: tuple[str, ...], items: int
) -> Refusal:
    rows = counts.total()
    if items <= len(labels) and 2 * items <= rows:
        what = "are all equal" if items == 1 else f"are only {items:,} different items"
        return Refusal(
            f"{source} has no two classes to tell apart: its {rows:,} rows {what}"
            ", and equal ones go to one split.",
            "Look whether the items are in another column or file; else mend them.",
        )
    rows_of = [
        f"{label} ({counts['train', label]:,} train, {counts['test', label]:,} test)"
        for label in labels
    ]
    return Refusal(
        f"{source} has no two classes with at least {LEAST_ROWS} rows in train "
        f"and 1 in test. Its labels: {some(rows_of, _SHOWN)}.",
        "Name the column of the labels with --label, or give at least two classes of "
        f"{LEAST_ROWS + 1} different items each.",
    )


ANSWERS = LikeliestClass()
SURVEY = ClassSurvey()
