"""From outcomes to consequences: rows set aside, findings, and reasons to refuse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from headrace.errors import SpecError
from headrace.records import Finding
from headrace.spec import PipelineSpec
from headrace.validation.checks import SMALL_CLASS, Check
from headrace.validation.suite import Outcome

if TYPE_CHECKING:
    import pandas as pd

QUARANTINE_COLUMNS = ("row", "name", "split", "label", "check", "reason")
_EXAMPLES = 3
_KINDS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict is made of.

    Attributes:
        classes: the known labels.
        delivered: all items, the rejected ones included.
        items: the readable ones, at the index that is their ``row``.
        outcomes: of the checks of ``items``, in the order of the checks.
    """

    spec: PipelineSpec
    classes: tuple[str, ...]
    delivered: pd.DataFrame
    items: pd.DataFrame
    outcomes: Sequence[Outcome]

    def missing(self, items: pd.DataFrame, split: str) -> list[str]:
        """The classes that a split does not hold."""
        present = set(items.loc[items["split"] == split, "label"])
        return [label for label in self.classes if label not in present]


def blamed_rows(case: Evidence) -> pd.DataFrame:
    """The rows that do not hold what is expected of each row.

    Returns:
        ``QUARANTINE_COLUMNS``, one line a row, under the first check that blames it
        and with the reasons of all that do.
    """
    import pandas as pd

    rejected = ~case.delivered["readable"]
    parts = [case.delivered.loc[rejected, [*QUARANTINE_COLUMNS]]]
    # Where so much leaks that the data set is refused, no single copy is to blame.
    leaks = any(
        o.check.name == "leak" and not o.passed and not o.rows for o in case.outcomes
    )
    for outcome in case.outcomes:
        check = outcome.check
        if outcome.passed or check.warns or (leaks and check.name == "leak"):
            continue
        rows = case.items.iloc[np.array(outcome.rows, dtype=np.int64)]
        part = rows[["row", "name", "split", "label"]]
        parts.append(part.assign(check=check.name, reason=_reasons(check, rows)))
    blamed = pd.concat(parts, ignore_index=True)
    repeated = blamed[blamed["row"].duplicated(keep=False)]
    joined = repeated.groupby("row")["reason"].agg("; ".join).to_dict()
    blamed = blamed.drop_duplicates("row").sort_values("row", ignore_index=True)
    firsts = zip(blamed["row"], blamed["reason"], strict=True)
    return blamed.assign(reason=[joined.get(row, reason) for row, reason in firsts])


def _reasons(check: Check, rows: pd.DataFrame) -> list[str]:
    return [
        check.reason
        + "".join(
            f" ({column.replace('_', ' ')} {value})"
            for column, value in zip(check.shows, values, strict=True)
            if value != ""
        )
        for values in rows[list(check.shows)].itertuples(index=False, name=None)
    ] or [check.reason] * len(rows)


def problems(case: Evidence, blamed: pd.DataFrame) -> list[str]:
    """Why the data set is refused; empty where it is not.

    Args:
        case: all that was seen.
        blamed: what `blamed_rows` made of it.

    Raises:
        SpecError: a row of the contract could not be answered.
    """
    failed = [o for o in case.outcomes if not o.passed and not o.check.warns]
    empty = [o for o in failed if o.check.name == "rows"]
    if empty:
        return [f"{outcome.check.split} holds no readable item" for outcome in empty]
    for outcome in failed:
        if outcome.cause and outcome.check.where:
            raise SpecError(
                f"{_asked(outcome.check)} cannot be answered: {outcome.cause}.",
                "Mend this row of the contract.",
            )
    found = [_problem(case, outcome) for outcome in failed if not outcome.rows]
    if len(blamed) > case.spec.data.quarantine_limit * len(case.delivered):
        return [*found, _too_many(case, blamed)]
    left = case.items[~case.items["row"].isin(blamed["row"])]
    return found or [
        f"after quarantine, {split} holds no item of {_classes(missing)}"
        for split in ("train", "test")
        if (missing := case.missing(left, split))
    ]


def _classes(labels: Sequence[str]) -> str:
    return f"{'class' if len(labels) == 1 else 'the classes'} {_some(labels, 10)}"


def _some(values: Iterable[str], count: int = _EXAMPLES) -> str:
    every = list(values)
    more = len(every) - count
    return ", ".join(every[:count]) + (f" and {more:,} more" if more > 0 else "")


def _problem(case: Evidence, outcome: Outcome) -> str:
    check = outcome.check
    if check.name == "classes" and check.split:
        missing = case.missing(case.items, check.split)
        return f"{check.split} holds no item of {_classes(missing)}"
    if check.name == "classes":
        return (
            f"all items are of one class, {case.items['label'].iloc[0]}; it takes two"
        )
    if check.name == "leak":
        limit = case.spec.data.leak_limit
        tested = case.items[case.items["split"] == "test"]
        leaked = tested[tested["in_train"] == 1]
        return (
            f"leak: {len(leaked):,} of the {len(tested):,} test items "
            f"({len(leaked) / len(tested):.1%}) are also in train or val, for example "
            f"{_some(leaked['name'])}; data.leak_limit is {limit:.1%}"
        )
    return f"{_asked(check)}: {outcome.cause or f'observed {outcome.observed}'}"


def _asked(check: Check) -> str:
    arguments = ", ".join(f"{k}={v!r}" for k, v in check.arguments.items())
    split = f" on {check.split}" if check.split else ""
    return f"{check.where or check.name}: {check.expectation}({arguments}){split}"


def _too_many(case: Evidence, blamed: pd.DataFrame) -> str:
    total, limit = len(case.delivered), case.spec.data.quarantine_limit
    head = (
        f"{len(blamed):,} of {total:,} rows ({len(blamed) / total:.1%}) would be set "
        f"aside; data.quarantine_limit is {limit:.1%}, {int(limit * total):,} rows"
    )
    kinds = blamed["check"].value_counts().index[:_KINDS_SHOWN]
    lines = [f"    {kind}: {_kind(blamed[blamed['check'] == kind])}" for kind in kinds]
    return "\n".join([head, *lines])


def _kind(rows: pd.DataFrame) -> str:
    noun = "row" if len(rows) == 1 else "rows"
    return f"{len(rows):,} {noun}: {_some(rows['name'])}: {rows['reason'].iloc[0]}"


def findings(case: Evidence, blamed: pd.DataFrame) -> list[Finding]:
    """What the user should know of a data set that is taken."""
    failed = [o for o in case.outcomes if o.check.warns and not o.passed]
    warned = {(o.check.name, o.check.where): o for o in reversed(failed)}
    found = [_warning(case, outcome) for outcome in reversed(warned.values())]
    for name, rows in blamed.groupby("check", sort=False):
        splits = rows["split"].unique()
        found.append(
            Finding(
                check=str(name),
                split=str(splits[0]) if len(splits) == 1 else "",
                count=len(rows),
                message=f"set aside {_kind(rows)}",
            )
        )
    return found


def _warning(case: Evidence, outcome: Outcome) -> Finding:
    check, count = outcome.check, max(outcome.unexpected, 1)
    if check.name == "class_balance":
        items = case.items
        sizes = items.loc[items["split"] == "train", "label"].value_counts()
        sizes = sizes.reindex(list(case.classes), fill_value=0)
        mean = sizes.sum() / len(sizes)
        small = [f"{c} has {n:,}" for c, n in sizes.items() if n < SMALL_CLASS * mean]
        count = len(small)
        message = f"of a mean of {mean:,.0f} train items a class, {_some(small, 10)}"
    elif check.name == "scale":
        column = check.shows[0]
        means = case.items.groupby("split")[column].mean()
        message = (
            f"the mean {column} is {means['train']:.4g} in train and "
            f"{means['test']:.4g} in test: are they scaled alike?"
        )
    else:
        message = f"{_asked(check)}: {outcome.cause or f'observed {outcome.observed}'}"
    return Finding(check=check.name, split=check.split, count=count, message=message)
