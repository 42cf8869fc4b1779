"""What people read of a regression, and of the numbers in new data."""

from __future__ import annotations

import math
from collections import Counter
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
    Targets,
    figure,
    some,
)
from headrace.tasks.regression.data import number, numbers, problem_of
from headrace.tasks.words import Survey, ranked

if TYPE_CHECKING:
    import pyarrow as pa

STANDARD_ERRORS = 3
_SHOWN = 5
# Measured on rotated digits: zooming the two axes apart rotates a line by some degrees,
# and a number takes more steps to learn than a label.
ARGUMENTS = {"zoom": 0.0, "dropout": 0.1}
LEAST_STEPS = 3_000  # the median error is 4.8 degrees, and 5.2 with 2,500
BIAS = 0.1  # as a share of the error of always answering the median


class PredictedNumber(Answers):
    OUTPUT = "value"
    METRICS: ClassVar = {
        "test_median_absolute_error": "The median of the absolute errors, in the unit "
        "of the numbers.",
        "test_mean_absolute_error": "The mean of the absolute errors; its interval is "
        "by the normal approximation.",
        "test_root_mean_squared_error": "The square root of the mean squared error.",
        "test_bias": "The mean of predicted minus true.",
        "test_bias_size": "The bias without its sign; its upper end is the end of the "
        "bias's interval that is farther from 0.",
        "test_relative_error": "The mean absolute error as a share of the error of "
        "always answering the median.",
        "test_relative_bias": "The size of the bias as a share of the error of always "
        "answering the median.",
    }

    def answers(self, outputs: Outputs, data: DataDescription) -> list[Any]:
        """A number for each item."""
        return [float(value) for value in outputs[:, 0]]

    def json_writer(self, data: DataDescription) -> Callable[[Any], str]:

        def write(output: Any) -> str:
            value = float(output[0])
            if not math.isfinite(value):
                raise FloatingPointError
            return f'"value":{FLOAT32 % value}'

        return write

    def answer_columns(
        self, outputs: Outputs, data: DataDescription
    ) -> dict[str, pa.Array]:
        import pyarrow as pa

        return {"prediction": pa.array(outputs[:, 0])}

    def is_label(self, label: str, data: DataDescription) -> bool:
        """Whether it is a number."""
        return not math.isnan(number(label))

    def figures(self, metrics: Figures) -> str:
        """Median and mean absolute error, and bias."""

        def value(name: str) -> str:
            return figure(metrics, f"test_{name}")

        return (
            f"test median absolute error {value('median_absolute_error')}, mean "
            f"{value('mean_absolute_error')} ({value('mean_absolute_error_low')} to "
            f"{value('mean_absolute_error_high')}), bias {value('bias')} "
            f"({value('bias_low')} to {value('bias_high')})"
        )

    def about(self, data: DataDescription) -> str:
        return "answer one number"

    def highlights(self, metrics: Metrics, slices: Mapping[str, Figures]) -> list[str]:
        """The range of the targets with the largest error."""
        ranges = ranked(slices, "range", "absolute_error", falling=True)
        return [
            f"worst for true numbers from {name}: mean absolute error "
            f"{as_score(worst['absolute_error'])}, bias {as_score(worst['bias'])}"
            for name, worst in ranges[:1]
            if len(ranges) > 1
        ]


class NumberSurvey(Surveyor):
    SUMMARY = "Gives a number for an item."
    LIMITS = "It answers with a number whatever it is given."

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """How the numbers are distributed, and gates better than a constant.

        The bias may be a tenth of the mean error of always answering the median, or
        three standard errors of that answer's bias on the test rows, if that is more;
        never more than the error may be.
        """
        train, test = (_values(labels, split) for split in ("train", "test"))
        problems = _problems(labels)
        if len(np.unique(train)) < 2 or len(np.unique(test)) < 2:
            raise Refusal(
                f"{source} needs at least two different numbers in train and in test"
                f"{''.join(f'; {text}' for text in problems)}.",
                "Write labels as numbers, such as 12.5, or name another column with "
                "--label."
                if problems
                else "Give more rows, or name another column with --label.",
            )
        median = float(np.median(train))
        errors = np.abs(test - median)
        error = float(errors.mean())
        margin = STANDARD_ERRORS * _standard_error(errors)
        most = max(error - margin, error / 2)
        chance = STANDARD_ERRORS * _standard_error(test - median)
        bias = min(max(BIAS * error, chance), most)
        bounds = {"error": float(f"{most:.4g}"), "bias": float(f"{bias:.4g}")}
        low, high = float(train.min()), float(train.max())
        spread = f"from {low:.4g} to {high:.4g}, median {median:.4g}"
        constant = (
            f"always answering {median:.4g} would be wrong by {error:.4g} on average"
        )
        findings = [
            Finding(check="label", count=count, message=f"{text}, and are set aside")
            for text, count in problems.items()
        ]
        return Survey(
            rows={"train": len(train), "test": len(test)},
            fields={},
            gates=[{"name": name, "threshold": at} for name, at in bounds.items()],
            sentences=[
                f"numbers {spread}",
                f"{constant}; the gates ask for less than {bounds['error']:g}, and for "
                f"a bias within {bounds['bias']:g}: lower them after the first run",
            ],
            findings=findings,
            arguments=ARGUMENTS,
            least_steps=LEAST_STEPS,
        )


def _standard_error(values: Targets) -> float:
    """The standard error of a mean ``(n,)``."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _problems(labels: Counts) -> dict[str, int]:
    """What labels that cannot be learned are, and how many, by sentence."""
    kinds: dict[str, Counter[str]] = {}
    for (_, label), rows in labels.items():
        if what := problem_of(label):
            kinds.setdefault(what, Counter())[label] += rows
    return {
        f"{wrong.total():,} of {labels.total():,} labels are {what}: "
        f"{some([*map(repr, wrong)], _SHOWN)}": wrong.total()
        for what, wrong in kinds.items()
    }


def _values(labels: Counts, split: str) -> Targets:
    """The numbers of a split, one for each row."""
    own = {label: rows for (of, label), rows in labels.items() if of == split}
    values = np.repeat(numbers(list(own)), list(own.values()))
    return np.asarray(values[~np.isnan(values)])


ANSWERS = PredictedNumber()
SURVEY = NumberSurvey()
