"""The only door to Great Expectations: checks in, outcomes and Data Docs out."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import SpecError
from headrace.store import Store
from headrace.validation import docs
from headrace.validation.checks import Check

if TYPE_CHECKING:
    import pandas as pd

_SET_BY_US = {
    *("id", "meta", "batch_id", "row_condition", "condition_parser"),
    *("result_format", "catch_exceptions", "rendered_content", "windows"),
}
# The context is a global of Great Expectations.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a table answered a check.

    Attributes:
        unexpected: number of failing rows.
        observed: what was seen, as short text.
        rows: ``row`` of each row to blame; empty where none can be.
        cause: what was raised in place of an answer.
    """

    check: Check
    passed: bool
    unexpected: int = 0
    observed: str = ""
    rows: tuple[int, ...] = ()
    cause: str = ""


def load() -> None:
    """Import Great Expectations, its telemetry off; quick when it is there already."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")
    import great_expectations  # noqa: F401


class Session:
    """One validation: tables, their outcomes, and one set of pages.

    Args:
        pipeline: its name, for the pages.
        snapshot_digest: what the tables are of.
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
        self._source = self._context.data_sources.add_pandas(pipeline)
        self._snapshot = snapshot_digest[:16]
        self._sha = hashlib.sha256(f"{gx.__version__} {pipeline}".encode())

    def run(
        self, table: str, frame: pd.DataFrame, checks: Sequence[Check]
    ) -> list[Outcome]:
        """Put the checks to a table with columns ``row``, ``name`` and ``split``.

        Raises:
            SpecError: a check of the contract cannot be asked.
        """
        import great_expectations as gx

        batch = self._source.add_dataframe_asset(table)
        expectations = [
            _expectation(check, place, list(frame.columns))
            for place, check in enumerate(checks)
        ]
        suite = gx.ExpectationSuite(name=table, expectations=expectations)
        definition = gx.ValidationDefinition(
            name=table,
            data=batch.add_batch_definition_whole_dataframe("snapshot"),
            suite=self._context.suites.add(suite),
        )
        results = self._context.validation_definitions.add(definition).run(
            batch_parameters={"dataframe": frame},
            result_format={
                "result_format": "COMPLETE",
                "unexpected_index_column_names": ["row", "name"],
                "include_unexpected_rows": False,
            },
            run_id=gx.RunIdentifier(run_name=self._snapshot),
        )
        sizes = frame["split"].value_counts().to_dict() | {"": len(frame)}
        found = {r.expectation_config.meta["place"]: r for r in results.results}
        outcomes = [
            _outcome(check, found[place], sizes.get(check.split, 0))
            for place, check in enumerate(checks)
        ]
        self._sha.update(repr(outcomes).encode())
        return outcomes

    def publish(self, store: Store) -> str:
        """Build the Data Docs of all tables, unless equal ones are there.

        Returns:
            the URI of their first page.
        """
        key = f"data_docs/{self._snapshot}-{self._sha.hexdigest()[:16]}"
        return docs.publish(self._context, store, key)


@contextlib.contextmanager
def session(pipeline: str, snapshot_digest: str) -> Iterator[Session]:
    """A context in memory, one at a time in a process; nothing is sent anywhere."""
    load()
    with _ONE_AT_A_TIME:
        yield Session(pipeline, snapshot_digest)


def _expectation(check: Check, place: int, columns: list[str]) -> Any:
    from great_expectations.compatibility import pydantic
    from great_expectations.expectations.row_conditions import Column

    implementation = _implementation(check)
    extra: dict[str, Any] = {"meta": {"check": check.name, "place": place}}
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
        raise SpecError(
            f"{check.where}: {check.expectation}: {_condense(error)}.",
            "Mend its arguments.",
        ) from None


def _implementation(check: Check) -> Any:
    from great_expectations.expectations import registry

    # What is asked in SQL is registered too, under another kind of name.
    every = registry.list_registered_expectation_implementations()
    names = [name for name in every if name.startswith("expect_")]
    if check.expectation in names:
        return registry.get_expectation_impl(check.expectation)
    near = difflib.get_close_matches(check.expectation, names, n=1, cutoff=0.0)
    raise SpecError(
        f"{check.where}: there is no expectation {check.expectation!r}.",
        f"Did you mean {near[0]}?",
    )


def _check_argument(check: Check, key: str, value: Any, columns: list[str]) -> None:
    if key in _SET_BY_US:
        raise SpecError(
            f"{check.where}: {check.expectation}: {key} cannot be given here.",
            "Use `split` to look at some of the rows.",
        )
    if key not in {"column", "column_A", "column_B", "column_list"}:
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


def _outcome(check: Check, result: Any, size: int) -> Outcome:
    cause = _cause(result.exception_info)
    if cause:
        return Outcome(check, passed=False, observed="no answer", cause=cause)
    facts = result.result
    counted = check.expectation.startswith("expect_table_row_count")
    seen = facts.get("element_count", size) - facts.get("missing_count", 0)
    if not seen and not counted:
        return Outcome(check, passed=False, observed="no values")
    value = facts.get("observed_value")
    if isinstance(value, float) and not math.isfinite(value):
        return Outcome(check, passed=False, observed=str(value))
    index = facts.get("unexpected_index_list") or ()
    return Outcome(
        check,
        passed=bool(result.success),
        unexpected=int(facts.get("unexpected_count", 0)),
        observed=_observed(facts),
        rows=tuple(int(entry["row"]) for entry in index),
    )


def _cause(info: dict[str, Any]) -> str:
    entries = [info] if "raised_exception" in info else list(info.values())
    for entry in entries:
        if entry["raised_exception"]:
            return " ".join(str(entry["exception_message"]).split())[:300].rstrip(".")
    return ""


def _observed(facts: dict[str, Any]) -> str:
    if "unexpected_count" in facts:
        return f"{facts['unexpected_count']:,} of {facts['element_count']:,} rows"
    if facts.get("partial_missing_list"):
        return f"missing: {', '.join(map(str, facts['partial_missing_list']))}"
    value = facts.get("observed_value")
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else json.dumps(value, default=str)[:120]
