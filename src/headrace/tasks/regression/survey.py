"""What `headrace new` finds out of the targets of a regression, and writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from headrace.errors import Refusal
from headrace.records import Finding
from headrace.tasks.forms import Counts, Survey, Targets
from headrace.tasks.regression.labels import numbers

if TYPE_CHECKING:
    from headrace.tasks import Surveyor

STANDARD_ERRORS = 3
# Measured on turned digits: sides that are stretched apart turn a line by some degrees,
# and a number takes more steps than a label.
ARGUMENTS = {"zoom": 0.0, "dropout": 0.1}
LEAST_STEPS = 3_000
BIAS = 0.1  # as a share of what the median is wrong by
_ENOUGH = 2


class NumberSurvey:
    """See `headrace.tasks.Surveyor`."""

    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """How the numbers are spread, and gates better than a constant."""
        values = {split: _values(labels, split) for split in ("train", "test")}
        rows = {split: len(known) for split, known in values.items()}
        every = sum(labels.values())
        bad = every - sum(rows.values())
        if any(len(np.unique(known)) < _ENOUGH for known in values.values()):
            raise Refusal(
                f"{source} has no two different numbers in train and in test: of "
                f"{every:,} labels, {bad:,} are no numbers.",
                "Name the column of the numbers with --label.",
            )
        median = float(np.median(values["train"]))
        off = np.abs(values["test"] - median)
        error = float(off.mean())
        doubt = STANDARD_ERRORS * float(off.std(ddof=1)) / math.sqrt(len(off))
        bounds = {
            "error": _rounded(max(error - doubt, error / 2)),
            "bias": _rounded(BIAS * error),
        }
        low, high = float(values["train"].min()), float(values["train"].max())
        spread = f"from {low:.4g} to {high:.4g}, median {median:.4g}"
        constant = (
            f"Always answering {median:.4g} would be wrong by {error:.4g} on average"
        )
        findings = []
        if bad:
            message = f"{bad:,} of {every:,} labels are no numbers, and are set aside"
            findings.append(Finding(check="label", count=bad, message=message))
        return Survey(
            rows=rows,
            fields={},
            head=[
                f"# {rows['train']:,} rows to learn from and {rows['test']:,} to test "
                f"on, numbers {spread}.",
                f"# {constant}.",
            ],
            gates=[{"name": name, "threshold": at} for name, at in bounds.items()],
            summary="Gives a number for {medium}.",
            readme=[
                f"The numbers to learn reach {spread}.",
                f"{constant}; the gate asks for less than {bounds['error']:g}, and for "
                f"a bias within {bounds['bias']:g}.",
            ],
            limits="It answers with a number whatever it is given.",
            facts={
                "targets": {"low": low, "high": high, "median": median},
                "constant": {"answer": median, "error": error},
                "gates": bounds,
            },
            lines=[
                f"numbers {spread}",
                f"always answering {median:.4g} would be wrong by {error:.4g} on "
                f"average; the gate asks for less than {bounds['error']:g}",
            ],
            findings=findings,
            arguments=ARGUMENTS,
            least_steps=LEAST_STEPS,
        )


def _values(labels: Counts, split: str) -> Targets:
    """The numbers of a split, one for each row."""
    own = {label: rows for (of, label), rows in labels.items() if of == split}
    found = np.repeat(numbers(list(own)), list(own.values()))
    known: Targets = found[~np.isnan(found)]
    return known


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


PART: Surveyor = NumberSurvey()
