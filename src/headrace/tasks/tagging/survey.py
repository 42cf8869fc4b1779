"""What `headrace new` finds out from the tags, and writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from headrace.errors import Refusal
from headrace.records import DataDescription, Finding
from headrace.signs import as_markdown
from headrace.tasks import Surveyor
from headrace.tasks.forms import Counts, Survey, natural_order, some
from headrace.tasks.intervals import deviation_of_ratio
from headrace.tasks.tagging.judge import constant_f1
from headrace.tasks.tagging.labels import matrix, rows_of_tags, tags_of

LEAST_ROWS = 2  # of a tag in train: a single one may be a typing error
STANDARD_ERRORS = 3
PATIENCE = 0.1
_SHOWN = 10


class TagSurvey(Surveyor):
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
                f"and 1 in test. Its tags: {some(every, _SHOWN) or 'none'}.",
                "Name the column of lists, or of texts like 'a|b', with --label.",
            )
        answer, constant, gate = _baseline(labels, tags)
        several = sum(n for (_, label), n in labels.items() if len(tags_of(label)) > 1)
        left_out = [repr(tag) for tag in every if tag not in tags]
        left = f"{some(left_out, _SHOWN)}; rows with them are set aside"
        always = some([*map(repr, answer)], _SHOWN)
        baseline = f"Always giving {always} would have a micro F1 of {constant:.3f}"
        findings = []
        if not several:
            message = "no item has two tags; --task classification suits one label each"
            findings.append(Finding(check="tags", count=0, message=message))
        return Survey(
            rows=total,
            fields={"classes": tags},
            head=[
                f"# {total['train']:,} rows to learn from and {total['test']:,} to "
                f"test on, {len(tags)} tags.",
                f"# {baseline}.",
                *[f"# Left out: {left}."] * bool(left_out),
            ],
            gates=[{"name": "f1", "threshold": gate}],
            summary=f"Finds which of {len(tags)} tags {{medium}} have.",
            readme=[
                "| tag | train | test |",
                "|---|---|---|",
                *(
                    f"| {as_markdown(tag)} | {train[tag]:,} | {test[tag]:,} |"
                    for tag in tags
                ),
                "",
                f"{baseline}; the gate asks for {gate:g}. Raise it after the first "
                "run.",
            ],
            limits="It knows no other tags.",
            facts={
                "tags": tags,
                "left_out": left_out,
                "constant": {"answer": answer, "f1": constant},
                "gates": {"f1": gate},
            },
            lines=[
                f"{len(tags)} tags: {some(tags, _SHOWN)}; {several:,} of "
                f"{labels.total():,} rows have several",
                f"{baseline}; the gate asks for {gate:g}: raise it after the first run",
                *[f"left out: {left}"] * bool(left_out),
            ],
            findings=findings,
            patience=PATIENCE,
        )


def _baseline(labels: Counts, tags: list[str]) -> tuple[list[str], float, float]:
    """The tags that are best given to all test rows, their micro F1, and a gate above.

    It is three standard errors above, but at most halfway to 1.
    """
    tested = {label: n for (split, label), n in labels.items() if split == "test"}
    known = DataDescription(medium="", task="tagging", shape=(), target={"tags": tags})
    each = np.nan_to_num(matrix(tested, known)).astype(np.float64)
    targets = np.repeat(each, [*tested.values()], axis=0)
    answer, constant = constant_f1(targets)
    hits, sizes = targets[:, answer].sum(axis=1), targets.sum(axis=1) + len(answer)
    margin = STANDARD_ERRORS * deviation_of_ratio(2 * hits, sizes)
    bound = min(constant + margin, (1 + constant) / 2)
    return [tags[n] for n in answer], constant, math.ceil(1000 * bound) / 1000


PART = TagSurvey()
