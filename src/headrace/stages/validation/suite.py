"""The only door to Great Expectations: checks in, outcomes and Data Docs out.

Checks run one after the other, each on the columns that it names, so that not all
columns are in memory at once. One page shows all results.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING, Any

import numpy as np

from headrace.errors import SpecError, did_you_mean
from headrace.imports import hidden, load_jsonschema
from headrace.stages.validation import docs
from headrace.stages.validation.checks import (
    COLUMN_KEYS,
    Check,
    CheckResult,
    outcome_of,
    size_of,
)
from headrace.stages.validation.tables import ItemTable
from headrace.state.store import Store

if TYPE_CHECKING:
    import pandas as pd

_SET_BY_US = {
    *("id", "meta", "batch_id", "row_condition", "condition_parser"),
    *("result_format", "catch_exceptions", "rendered_content", "windows"),
}
_COLUMN_KEYS = (*COLUMN_KEYS, "column_list")
_BETWEEN = {  # by the name of the expectation, without its ends
    "table_row_count": "The number of rows",
    "column_mean": "The mean of {column}",
    "column_median": "The median of {column}",
    "column_min": "The smallest {column}",
    "column_sum": "The sum of {column}",
    "column_unique_value_count": "The number of different values of {column}",
    "column_values": "Each row's {column}",
}
_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "include_unexpected_rows": False,
    "return_unexpected_index_query": False,
}
# Clients of databases and clouds, which Great Expectations imports where they are
# installed. Validation is in memory.
_CLIENTS = (
    *("azure", "boto3", "botocore", "google.auth", "google.cloud", "google.oauth2"),
    *("psycopg2", "pyspark", "snowflake", "trino"),
)
# The context is global in Great Expectations.
_ONE_AT_A_TIME = threading.Lock()


class _Later(MetaPathFinder):
    """Finds modules that are executed at their first use, not when they are imported.

    Great Expectations imports them for expectations and charts that few runs need, and
    they take a third of its start.
    """

    names = ("altair", "scipy.stats")

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        """The module's usual place, with a lazy loader."""
        spec = PathFinder.find_spec(fullname, path) if fullname in self.names else None
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def load() -> None:
    """Import Great Expectations with its telemetry off; quick if it is imported."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    if "great_expectations" in sys.modules:
        return
    load_jsonschema()
    later = _Later()
    sys.meta_path.insert(0, later)
    try:
        with hidden(_CLIENTS):
            import great_expectations  # noqa: F401
    finally:
        sys.meta_path.remove(later)


class Session:
    """One validation: tables, their outcomes, and the page of both.

    Args:
        pipeline: its name, for the page.
        snapshot_digest: of the data.
    """

    def __init__(self, pipeline: str, snapshot_digest: str) -> None:
        import great_expectations as gx
        from great_expectations.data_context.types import base

        config = base.DataContextConfig(
            store_backend_defaults=base.InMemoryStoreBackendDefaults(),
            data_docs_sites={},
            progress_bars=base.ProgressBarsConfig(globally=False),
            analytics_enabled=False,
        )
        self._context: Any = gx.get_context(project_config=config, mode="ephemeral")
        self._pipeline, self._snapshot = pipeline, snapshot_digest
        self._tables: list[dict[str, Any]] = []
        self._sha = hashlib.sha256(f"{gx.__version__} {pipeline}".encode())

    def run(
        self, title: str, table: ItemTable, checks: Sequence[Check]
    ) -> list[CheckResult]:
        """Run checks on a table.

        Args:
            title: of the table, for the page.
            table: the items.
            checks: in the order of their outcomes.

        Raises:
            SpecError: a check of the contract is invalid.
        """
        expectations = [_expectation(check, table.columns) for check in checks]
        outcomes, rows = [], []
        for check, expectation in zip(checks, expectations, strict=True):
            of_table = str(expectation.domain_type.value) == "table"
            named = _named(check, of_table)
            frame = _frame(table, check.split, named, of_table)
            result = self._result(expectation, frame)
            outcome = outcome_of(check, result, size_of(frame, named, check.split))
            outcomes.append(outcome)
            failing = None
            if len(outcome.rows):
                shown = [*dict.fromkeys(["row", "name", *named])]
                failing = table.pick(outcome.rows[: docs.ROWS], shown)
            rows.append(docs.check_row(outcome, _sentence(check), failing))
        self._note(title, outcomes, rows)
        return outcomes

    def add(
        self,
        title: str,
        outcomes: Sequence[CheckResult],
        failing: pd.DataFrame | None = None,
    ) -> None:
        """Show outcomes that no table had to be asked for.

        Args:
            title: for the page.
            outcomes: of rows, or of single measurements.
            failing: the rows, with ``row``, ``name`` and the columns of the checks.
        """
        rows = []
        for outcome in outcomes:
            sentence, shown = _sentence(outcome.check), None
            if not outcome.observed.endswith(" rows"):  # a measurement
                sentence = sentence.removeprefix("Each row's ")
            if failing is not None and len(outcome.rows):
                named = _named(outcome.check, of_table=False)
                shown = failing[["row", "name", *named]].head(docs.ROWS)
            rows.append(docs.check_row(outcome, sentence, shown))
        self._note(title, outcomes, rows)

    def _note(
        self, title: str, outcomes: Sequence[CheckResult], rows: list[dict[str, Any]]
    ) -> None:
        for outcome in outcomes:
            self._sha.update(repr(outcome).encode() + outcome.rows.tobytes())
        self._tables.append({"title": title, "checks": rows})

    def _result(self, expectation: Any, frame: pd.DataFrame) -> Any:
        from great_expectations.execution_engine import pandas_execution_engine
        from great_expectations.validator.validator import Validator

        engine = pandas_execution_engine.PandasExecutionEngine(caching=False)
        engine.load_batch_data("table", frame)
        del frame  # pydantic's errors keep the variables of their callers
        validator = Validator(engine, data_context=self._context)
        wanted = {"result_format": _RESULT_FORMAT}
        (result,) = validator.graph_validate([expectation.configuration], wanted)
        # The engine and its data reference each other; free them before the next frame.
        engine.batch_manager.batch_data_cache.clear()
        return result

    def publish(
        self,
        store: Store,
        problems: Sequence[str],
        quarantined: int,
        source: str,
        rows: int,
    ) -> str:
        """Write the page of all tables, unless an equal one is there.

        Args:
            store: of the Data Docs.
            problems: the reasons to refuse the data, if any.
            quarantined: number of quarantined rows.
            source: of the snapshot.
            rows: number of all rows of the source.

        Returns:
            the URI of the page.
        """
        import great_expectations as gx

        checks = [check for table in self._tables for check in table["checks"]]
        verdict = {
            "pipeline": self._pipeline,
            "snapshot": self._snapshot,
            "source": source,
            "rows": rows,
            "problems": problems,
            "quarantined": quarantined,
            "passed": sum(check["passed"] for check in checks),
            "checks": len(checks),
        }
        self._sha.update(repr((problems, quarantined)).encode())
        name = f"{self._snapshot[:16]}-{self._sha.hexdigest()[:16]}"
        return docs.publish(store, name, self._tables, verdict, gx.__version__)


@contextlib.contextmanager
def session(pipeline: str, snapshot_digest: str) -> Iterator[Session]:
    """A session in memory, one at a time in a process; nothing is sent anywhere."""
    load()
    with _ONE_AT_A_TIME:
        yield Session(pipeline, snapshot_digest)


def _sentence(check: Check) -> str:
    """The expectation in words, or its call where we have none."""
    arguments = dict(check.arguments)
    ends = ("column", "min_value", "max_value")
    column, low, high = (arguments.pop(name, None) for name in ends)
    kind = check.expectation.removeprefix("expect_").removesuffix("_to_be_between")
    if kind in _BETWEEN and not arguments and (low, high) != (None, None):
        return f"{_BETWEEN[kind].format(column=column)} is {_bounds(low, high)}"
    if check.expectation == "expect_column_values_to_be_in_set" and not check.where:
        choices = " or ".join(map(str, arguments["value_set"]))
        return f"Each row's {column} is {choices}"
    return check.call


def _bounds(low: Any, high: Any) -> str:
    least, most = (f"{v:,.4g}" if isinstance(v, float) else v for v in (low, high))
    if low == high:
        return str(least)
    if high is None:
        return f"at least {least}"
    return f"at most {most}" if low is None else f"between {least} and {most}"


def _named(check: Check, of_table: bool) -> list[str]:
    """The columns whose values a check reads."""
    # An expectation of the table as a whole reads only the names of the columns.
    keys = ("column",) if of_table else _COLUMN_KEYS
    values = (check.arguments[key] for key in keys if key in check.arguments)
    lists = (value if isinstance(value, list) else [value] for value in values)
    return list(dict.fromkeys(itertools.chain(*lists)))


def _frame(
    table: ItemTable, split: str, named: list[str], of_table: bool
) -> pd.DataFrame:
    """The columns that a check names.

    An expectation of the table as a whole gets the others as well, without values.
    """
    import pandas as pd

    frame = table.read([*dict.fromkeys([*named, *(["split"] if split else [])])])
    if not of_table:
        return frame
    nothing = np.full(len(frame), -1, np.int8)
    empty = pd.Categorical.from_codes(nothing, dtype=pd.CategoricalDtype([]))
    columns = {c: frame[c] if c in frame else empty for c in table.columns}
    return pd.DataFrame(columns, index=frame.index, copy=False)


def _expectation(check: Check, columns: Sequence[str]) -> Any:
    from great_expectations.compatibility import pydantic
    from great_expectations.expectations.row_conditions import Column

    implementation = _implementation(check)
    extra: dict[str, Any] = {"meta": {"check": check.name}}
    extra["notes"] = check.name + (f" ({check.split})" if check.split else "")
    if check.warns:
        extra["severity"] = "warning"
    if check.split:
        if "row_condition" not in implementation.__fields__:
            raise SpecError(
                f"{check.where}: {check.expectation} cannot be asked of one split.",
                "Leave `split` out.",
            )
        extra["row_condition"] = Column("split") == check.split
    for key, value in check.arguments.items():
        _check_argument(check, key, value, columns)
    try:
        return implementation(**{**extra, **check.arguments})
    except (pydantic.ValidationError, TypeError) as error:
        message = f"{check.where}: {check.expectation}: {_condense(error)}."
        raise SpecError(message, "Mend its arguments.") from None


def _implementation(check: Check) -> Any:
    from great_expectations.expectations import registry

    registered = registry.list_registered_expectation_implementations()
    names = [n for n in registered if n.startswith("expect_")]  # others are SQL
    if check.expectation in names:
        return registry.get_expectation_impl(check.expectation)
    raise SpecError(
        f"{check.where}: there is no expectation {check.expectation!r}.",
        did_you_mean(check.expectation, names, "", cutoff=0.0),
    )


def _check_argument(check: Check, key: str, value: Any, columns: Sequence[str]) -> None:
    if key in _SET_BY_US:
        raise SpecError(
            f"{check.where}: {check.expectation}: {key} cannot be given here.",
            "Use `split` to look at some of the rows.",
        )
    if key not in _COLUMN_KEYS:
        return
    for column in value if isinstance(value, list) else [value]:
        if column not in columns:
            raise SpecError(
                f"{check.where}: {check.expectation}: there is no column {column!r}.",
                f"Known columns: {', '.join(columns)}.",
            )


def _condense(error: Exception) -> str:
    problems: dict[str, str] = {}
    for item in error.errors() if hasattr(error, "errors") else ():
        field = ".".join(str(part) for part in item["loc"] if part != "__root__")
        problems.setdefault(field, f"{field}: {item['msg']}" if field else item["msg"])
    named = [text for field, text in problems.items() if field]
    return "; ".join(named or problems.values()) or str(error)
