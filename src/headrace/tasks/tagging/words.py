"""What people read of a tagging, and of the tags in new data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from headrace.display.signs import as_score
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
from headrace.tasks.judging import deviation_of_ratio
from headrace.tasks.tagging.data import (
    as_label,
    matrix,
    rows_of_tags,
    tags_of,
)
from headrace.tasks.tagging.judge import answered, constant_f1
from headrace.tasks.words import Survey, ranked

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = 3
LEAST_ROWS = 2  # of a tag in train: a single one may be a typing error
STANDARD_ERRORS = 3
_NAMED = 10
_EACH_HAS_ONE = Finding(
    check="tags",
    message="no item has two tags; --task classification suits one label each",
)


class AllThatReach(Answers):
    OUTPUT = "probabilities"
    METRICS: ClassVar = {
        "test_micro_f1": "F1 of all tags together: twice the right tags, divided by "
        "the true and the answered ones; its interval is by the bootstrap over items.",
        "test_macro_f1": "The mean F1 of all tags.",
        "test_tag_f1_min": "The lowest F1 of a tag.",
        "test_tag_f1_low_min": "The lowest lower end of the interval of a tag's F1.",
        "test_constant_f1": "The micro F1 of always giving those tags with which it is "
        "highest.",
        "test_right_answers": "The share of items all of whose tags are right.",
        "test_log_loss": "Mean negative logarithm of the probability that was given to "
        "a tag's presence or absence.",
        "test_calibration_error": "The mean gap between the probability of a tag and "
        "how often items have it, over evaluation.calibration_bins bins.",
    }

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """The tags of each item, as a list."""
        return [
            [tag for tag, has in zip(data.tags, row, strict=True) if has]
            for row in answered(outputs).tolist()
        ]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:
        """The tags, and the probability of each that is known."""
        labels = [json.dumps(name, ensure_ascii=False) for name in data.tags]
        each = ",".join(label.replace("%", "%%") + f":{FLOAT32}" for label in labels)

        def write(output: Any) -> str:
            values = output.tolist()
            if not math.isfinite(sum(values)):
                raise FloatingPointError
            own, least = values[: len(labels)], values[len(labels) :]
            pairs = zip(labels, own, least, strict=True)
            tags = ",".join(label for label, value, at in pairs if value >= at)
            return f'"tags":[{tags}],"probabilities":{{{each % tuple(own)}}}'

        return write

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        """The tags as a list in JSON, and the probability of each that is known."""
        import pyarrow as pa

        texts = [as_label(tags) for tags in self.answers(outputs, data)]
        columns = {"tags": pa.array(texts, pa.string())}
        for index, name in enumerate(data.tags):
            columns[f"probability_{name}"] = pa.array(outputs[:, index])
        return columns

    def is_label(self, label: str, data: DataDescription) -> bool:
        """Whether all of its tags are known."""
        tags = tags_of(label, data.target.get("separator"))
        return bool(label) and set(tags) <= set(data.tags)

    def figures(self, metrics: Figures) -> str:
        """Micro F1 with its interval, macro F1, the worst tag, calibration error."""

        def value(name: str) -> str:
            return figure(metrics, f"test_{name}")

        return (
            f"test micro F1 {value('micro_f1')} ({value('micro_f1_low')} to "
            f"{value('micro_f1_high')}), macro F1 {value('macro_f1')}, worst tag "
            f"{value('tag_f1_min')}, calibration error {value('calibration_error')}"
        )

    def about(self, data: DataDescription) -> str:
        return f"tags {', '.join(data.tags)}"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The tags with the lowest F1."""
        worst = ranked(slices, "tag", "f1")[:_SHOWN]
        each = [f"{tag} {as_score(figures['f1'])}" for tag, figures in worst]
        return [f"lowest F1: {some(each, _SHOWN)}"] if each else []


class TagSurvey(Surveyor):
    SUMMARY = "Finds which tags an item has."
    LIMITS = "It knows no other tags."

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """The tags with enough rows, and a gate above always giving the same tags."""
        splits = ("train", "test")
        total = {s: sum(n for (of, _), n in labels.items() if of == s) for s in splits}
        train, test = (rows_of_tags(split, labels) for split in splits)
        every = natural_order((train.keys() | test.keys()) - {""})
        tags = [tag for tag in every if train[tag] >= LEAST_ROWS and test[tag]]
        if len(tags) < 2:
            raise Refusal(
                f"{source} has no two tags with at least {LEAST_ROWS} rows in train "
                f"and 1 in test. Its tags: {some(every, _NAMED) or 'none'}.",
                "Name the column of lists, or of texts like 'a|b', with --label.",
            )
        answer, constant, gate = _baseline(labels, tags)
        several = sum(n for (_, label), n in labels.items() if len(tags_of(label)) > 1)
        left_out = [repr(tag) for tag in every if tag not in tags]
        left = f"{some(left_out, _NAMED)}; rows with them are set aside"
        always = some([*map(repr, answer)], _NAMED)
        return Survey(
            rows=total,
            fields={"classes": tags},
            gates=[{"name": "f1", "threshold": gate}],
            sentences=[
                f"{len(tags)} tags: {some(tags, _NAMED)}; {several:,} of "
                f"{labels.total():,} rows have several",
                f"always giving {always} would have a micro F1 of {constant:.3f}; the "
                f"gate asks for {gate:g}: raise it after the first run",
                *[f"left out: {left}"] * bool(left_out),
            ],
            findings=[] if several else [_EACH_HAS_ONE],
            class_rows=[train[tag] for tag in tags],
        )


def _baseline(labels: Counts, tags: list[str]) -> tuple[list[str], float, float]:
    """The tags that are best given to all test rows, their micro F1, and a gate above.

    It is three standard errors above, but at most halfway to 1.
    """
    tested = {label: n for (split, label), n in labels.items() if split == "test"}
    data = DataDescription(medium="", task="tagging", shape=(), target={"tags": tags})
    each = np.nan_to_num(matrix(tested, data)).astype(np.float64)
    targets = np.repeat(each, [*tested.values()], axis=0)
    answer, constant = constant_f1(targets)
    hits, sizes = targets[:, answer].sum(axis=1), targets.sum(axis=1) + len(answer)
    margin = STANDARD_ERRORS * deviation_of_ratio(2 * hits, sizes)
    bound = min(constant + margin, (1 + constant) / 2)
    return [tags[n] for n in answer], constant, math.ceil(1000 * bound) / 1000


ANSWERS = AllThatReach()
SURVEY = TagSurvey()
