"""What `headrace new` finds out from the targets of a regression, and writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from headrace.errors import Refusal
from headrace.records import Finding
from headrace.tasks import Surveyor
from headrace.tasks.forms import Counts, Survey, Targets
from headrace.tasks.regression.labels import numbers

STANDARD_ERRORS = 3
# Measured on rotated digits: zooming the two axes apart rotates a line by some degrees,
# and a number takes more steps to learn than a label.
ARGUMENTS = {"zoom": 0.0, "dropout": 0.1}
LEAST_STEPS = 3_000  # the median error is 4.8 degrees, and 5.2 with 2,500
PATIENCE = 0.25
BIAS = 0.1  # as a share of the error of always answering the median


class NumberSurvey(Surveyor):
    def survey(
        self, source: str, labels: Counts, items: int, rejected: Sequence[str]
    ) -> Survey:
        """How the numbers are distributed, and gates better than a constant."""
        train, test = (_values(labels, split) for split in ("train", "test"))
        total = labels.total()
        bad = total - len(train) - len(test)
        if len(np.unique(train)) < 2 or len(np.unique(test)) < 2:
            raise Refusal(
                f"{source} needs at least two different numbers in train and in test; "
                f"{bad:,} of its {total:,} labels are not numbers.",
                "Name the column of the numbers with --label.",
            )
        median = float(np.median(train))
        errors = np.abs(test - median)
        error = float(errors.mean())
        margin = STANDARD_ERRORS * float(errors.std(ddof=1)) / math.sqrt(len(errors))
        bounds = {
            "error": float(f"{max(error - margin, error / 2):.4g}"),
            "bias": float(f"{BIAS * error:.4g}"),
        }
        low, high = float(train.min()), float(train.max())
        spread = f"from {low:.4g} to {high:.4g}, median {median:.4g}"
        constant = (
            f"always answering {median:.4g} would be wrong by {error:.4g} on average"
        )
        findings = []
        if bad:
            message = f"{bad:,} of {total:,} labels are not numbers, and are set aside"
            findings.append(Finding(check="label", count=bad, message=message))
        return Survey(
            rows={"train": len(train), "test": len(test)},
            fields={},
            head=[
                f"# {len(train):,} rows to learn from and {len(test):,} to test on, "
                f"numbers {spread}.",
                f"# {constant.capitalize()}.",
            ],
            gates=[{"name": name, "threshold": at} for name, at in bounds.items()],
            summary="Gives a number for {medium}.",
            readme=[
                f"The numbers to learn reach {spread}.",
                f"{constant.capitalize()}; the gate asks for less than "
                f"{bounds['error']:g}, and for a bias within {bounds['bias']:g}.",
            ],
            limits="It answers with a number whatever it is given.",
            facts={
                "targets": {"low": low, "high": high, "median": median},
                "constant": {"answer": median, "error": error},
                "gates": bounds,
            },
            lines=[
                f"numbers {spread}",
                f"{constant}; the gate asks for less than {bounds['error']:g}: lower "
                "it after the first run",
            ],
            findings=findings,
            arguments=ARGUMENTS,
            least_steps=LEAST_STEPS,
            worst=error,
            patience=PATIENCE,
        )


def _values(labels: Counts, split: str) -> Targets:
    """The numbers of a split, one for each row."""
    own = {label: rows for (of, label), rows in labels.items() if of == split}
    values = np.repeat(numbers(list(own)), list(own.values()))
    return np.asarray(values[~np.isnan(values)])


PART = NumberSurvey()
