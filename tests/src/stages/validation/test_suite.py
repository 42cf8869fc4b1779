"""Checks are put to no more than they name; an answer to nothing never passes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from headrace.stages.validation import checks, docs, suite
from headrace.stages.validation.tables import with_duplicates
from headrace.state.store import Store


class FrameTable:
    """A table in memory, in place of the items of a snapshot."""

    def __init__(self, frame):
        self._frame = frame.set_index("row", drop=False).rename_axis(None)
        self.columns = list(frame.columns)

    def read(self, columns):
        return self._frame[list(columns)]

    def pick(self, rows, columns):
        return self._frame.loc[rows, list(columns)]


class Watched(FrameTable):
    """A table that remembers which columns were read."""

    def __init__(self, frame):
        super().__init__(frame)
        self.seen = []

    def read(self, columns):
        self.seen.append(list(columns))
        return super().read(columns)


def frame(**columns):
    """Three readable rows with one column changed."""
    rows = {
        "row": [0, 1, 2],
        "name": ["a", "b", "c"],
        "split": ["train", "train", "test"],
        "label": ["cat", "dog", "cat"],
        "item": ["x", "y", "z"],
        "blank": [False, False, False],
        "mean": [1.0, 2.0, 3.0],
    }
    return with_duplicates(pd.DataFrame({**rows, **columns}))


def ask(table, name, **arguments):
    split = arguments.pop("split", "")
    table = FrameTable(table) if isinstance(table, pd.DataFrame) else table
    check = checks.Check("asked", f"expect_{name}", arguments, split=split)
    with suite.session("pets", "0" * 64) as session:
        (outcome,) = session.run("items", table, [check])
    return outcome


@pytest.mark.system
def test_the_clients_of_clouds_are_not_loaded_and_can_be_later():
    code = (
        "import sys\n"
        "from headrace.stages.validation import suite\n"
        "suite.load()\n"
        "assert not {'boto3', 'botocore', 'psycopg2'} & set(sys.modules)\n"
        "import boto3, psycopg2\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_seen(value):
    table = frame(mean=[1.0, value, 3.0])

    outcome = ask(
        table, "column_values_to_be_in_set", column="finite", value_set=[True]
    )

    assert (outcome.passed, outcome.rows.tolist()) == (False, [1])


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("column_values_to_be_between", {"min_value": -1e9}),
        ("column_values_to_be_in_set", {"value_set": [1.0]}),
        ("column_mean_to_be_between", {"min_value": -1e9, "max_value": 1e9}),
        ("column_sum_to_be_between", {"min_value": 0}),
        ("column_unique_value_count_to_be_between", {"min_value": 0}),
        ("column_proportion_of_unique_values_to_be_between", {"min_value": 0}),
        ("column_distinct_values_to_be_in_set", {"value_set": [1.0]}),
        ("column_values_to_be_of_type", {"type_": "float64"}),
        ("column_values_to_be_unique", {}),
    ],
)
@pytest.mark.parametrize("rows", [0, 3])
def test_no_expectation_passes_on_nothing(name, arguments, rows):
    table = frame().head(rows).assign(mean=np.full(rows, np.nan))

    assert not ask(table, name, column="mean", **arguments).passed


def test_the_values_of_another_split_do_not_answer():
    table = frame(mean=[1.0, 2.0, np.nan])
    sum_of = {"column": "mean", "min_value": 0}

    assert ask(table, "column_sum_to_be_between", **sum_of).passed
    outcome = ask(table, "column_sum_to_be_between", **sum_of, split="test")
    assert (outcome.passed, outcome.observed) == (False, "no values")


@pytest.mark.parametrize(
    ("name", "arguments", "read"),
    [
        ("column_values_to_be_between", {"column": "mean", "min_value": 0}, ["mean"]),
        ("column_max_to_be_between", {"column": "mean", "min_value": 0}, ["mean"]),
        (
            "column_values_to_be_between",
            {"column": "mean", "min_value": 0, "split": "test"},
            ["mean", "split"],
        ),
        (
            "column_pair_values_to_be_equal",
            {"column_A": "in_test", "column_B": "in_train"},
            ["in_test", "in_train"],
        ),
        (
            "compound_columns_to_be_unique",
            {"column_list": ["label", "item"]},
            ["label", "item"],
        ),
        ("table_row_count_to_equal", {"value": 1, "split": "test"}, ["split"]),
        ("table_columns_to_match_set", {"column_set": [*frame()]}, []),
        ("column_to_exist", {"column": "mean", "column_index": 6}, ["mean"]),
        ("column_type_to_be", {"column": "mean", "type_": "float64"}, ["mean"]),
        ("table_column_count_to_equal", {"value": len(frame().columns)}, []),
    ],
)
def test_only_the_columns_that_are_named_are_read(name, arguments, read):
    table = Watched(frame())

    assert ask(table, name, **arguments).passed
    assert table.seen == [read]


def test_a_row_is_judged_among_all_the_others():
    outcome = ask(
        frame(mean=[1.0, 2.0, 1.0]), "column_values_to_be_unique", column="mean"
    )

    assert (outcome.passed, outcome.rows.tolist()) == (False, [0, 2])


def test_what_is_asked_of_distinct_values_is_observed():
    outcome = ask(
        frame(),
        "column_distinct_values_to_equal_set",
        column="label",
        value_set=["cat", "cow"],
    )

    assert (outcome.passed, outcome.observed) == (
        False,
        "missing: cow; unexpected: dog",
    )


def test_an_answer_in_numpy_is_written_to_a_page(tmp_path):
    ranges = {"quantiles": [0.5], "value_ranges": [[0, 9]]}
    name = "expect_column_quantile_values_to_be_between"
    check = checks.Check("median", name, {"column": "mean", "quantile_ranges": ranges})

    with suite.session("pets", "0" * 64) as session:
        (outcome,) = session.run("items", FrameTable(frame()), [check])
        page = Path(session.publish(Store(str(tmp_path)), (), 0, "made", 9))

    assert outcome.passed
    assert "<h2>items</h2>" in page.read_text()


@pytest.fixture
def page(tmp_path):
    """Ask, and read the page of the answers."""

    def read(table, check):
        with suite.session("pets", "0" * 64) as session:
            session.run("items", FrameTable(table), [check])
            page = Path(session.publish(Store(str(tmp_path)), (), 0, "made", 9))
        return page.read_text()

    return read


def test_a_page_says_that_nothing_did_not_pass(page):
    arguments = {"column": "mean", "min_value": 0}
    check = checks.Check("mean", "expect_column_values_to_be_between", arguments)

    assert ">failed</td>" in page(frame().head(0), check)


def test_a_page_shows_the_one_value_that_fails_and_no_table_of_it(tmp_path):
    arguments = {"column": "mean", "max_value": 0.5}
    check = checks.Check("mean", "expect_column_values_to_be_between", arguments)
    outcome = checks.measured(check, 0.123456789 + 1)
    with suite.session("pets", "0" * 64) as session:
        session.add("The data set as a whole", [outcome])
        uri = session.publish(Store(str(tmp_path)), [], 0, "made", 1)
    text = Path(uri).read_text()

    assert not outcome.passed
    assert ">mean is at most 0.5<" in text
    assert '<td class="text">1.12346\n</td>' in text


def test_a_page_shows_some_of_many_rows_and_counts_them_all(page, monkeypatch):
    monkeypatch.setattr(docs, "ROWS", 2)
    check = checks.Check("label", "expect_column_values_to_be_null", {"column": "item"})
    table = frame(name=["first.png", "second.png", "third.png"])

    text = page(table, check)

    assert "first.png" in text
    assert "third.png" not in text
    assert "<summary>3 rows</summary>" in text
    assert "The first 2." in text
