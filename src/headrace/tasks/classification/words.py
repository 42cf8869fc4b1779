"""What people read of a classification, and of its classes in new data."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from headrace.display.signs import as_score, number_of
from headrace.records import DataDescription, Metrics
from headrace.tasks import Answers, Surveyor
from headrace.tasks.classification.classes import find_classes
from headrace.tasks.forms import (
    FLOAT32,
    Counts,
    Figures,
    Outputs,
    figure,
    some,
)
from headrace.tasks.words import Survey, ranked

if TYPE_CHECKING:
    import pyarrow as pa

UNBALANCED = 0.8
# A gate where one class dominates. Of two classes, the majority-class baseline of macro
# F1 is below 0.5.
MACRO_F1 = {"name": "macro_f1", "metric": "test_macro_f1", "threshold": 0.6}
_NAMED = 10


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


def rows_in_words(rows: int) -> str:
    """The number of rows of a class that is left out."""
    if not rows:
        return "no row that can be read"
    return f"{number_of(rows, 'rows')} in all"


class ClassSurvey(Surveyor):
    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The classes with enough rows, and a gate above the majority baseline."""
        classes = find_classes(source, labels, items, rejected)
        names, (label, share) = classes.names, classes.majority
        rows = {split: classes.rows(split) for split in ("train", "test")}
        left_out = {k: rows_in_words(v) for k, v in classes.left_out.items()}
        threshold, largest = classes.accuracy_gate, labels["test", label]
        ties = sum(labels["test", name] == largest for name in names) - 1
        tie = f", as large as {ties} other{'s' * (ties > 1)}," if ties else ""
        gate = {"name": "accuracy", "threshold": threshold}
        return Survey(
            rows=rows,
            fields={"classes": list(names)},
            gates=[gate, MACRO_F1] if share > UNBALANCED else [gate],
            summary=f"Tells {len(names)} classes of {{medium}} apart.",
            sentences=[
                f"{len(names)} classes: {some(names, _NAMED)}",
                f"always saying {label!r}{tie} would be right for {share:.1%} of the "
                f"test rows; the gate asks for {threshold:.1%}, {classes.reason}: "
                "raise it after the first run",
                *(f"left out: {k!r}, {v}" for k, v in left_out.items()),
            ],
            limits="It answers with one of its classes whatever it is given.",
            facts={
                "classes": list(names),
                "left_out": classes.left_out,
                "majority": {"class": label, "share": round(share, 4)},
                "gates": {"accuracy": threshold},
            },
            table=[("class", "train", "test"), *classes.table],
            findings=list(classes.findings),
            class_rows=[labels["train", name] for name in names],
        )


ANSWERS = LikeliestClass()
SURVEY = ClassSurvey()
