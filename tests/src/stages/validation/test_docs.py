"""The page of the checks: one for equal outcomes, small, linked, without a network."""

import html
import re
from pathlib import Path

import pytest
from tests.src.stages.validation.conftest import Data, expectation

from headrace.errors import ContractError


def index_of(page):
    return (page.parent.parent / "index.html").read_text()


def rows_of(index, verdict):
    """The texts of the cells of each row with a verdict."""
    rows = re.findall(r"<tr>(<td>.*?)</tr>", index, re.DOTALL)
    return [
        [
            html.unescape(re.sub("<.*?>", "", cell))
            for cell in re.findall("<td.*?>(.*?)</td>", row, re.DOTALL)
        ]
        for row in rows
        if f">{verdict}</span>" in row
    ]


def test_equal_outcomes_share_their_page(check, tmp_path):
    first, again = check(Data()), check(Data())
    other = check(Data(), expectation("column_to_exist", column="mean"))

    assert first.docs_uri == again.docs_uri != other.docs_uri
    assert index_of(Path(first.docs_uri)).count("/index.html") == 2


def test_a_page_is_small_and_names_the_blamed_rows(check):
    data = Data()
    data.pixels[7] = 0

    page = Path(check(data).docs_uri)

    text = html.unescape(page.read_text())
    assert page.stat().st_size < 100_000
    assert "7.png" in text
    assert "Each row's blank is False" in text
    assert "Rows in quarantine: 1 of 100." in text
    assert "Source: made. Snapshot" in text
    assert "1 row</summary>" in text
    assert text.index(">failed<") < text.index(">passed<", text.index("<h2>Items"))
    assert re.search(r"1 of \d+ rows fail\b", text)
    assert re.search(r"\b0 of \d+ rows fail\b", text)


def test_built_in_checks_are_worded_as_sentences(check):
    bounds = {"column": "mean", "max_value": 900, "split": "test"}
    page = Path(
        check(Data(), expectation("column_mean_to_be_between", **bounds)).docs_uri
    )
    text = html.unescape(page.read_text())

    assert "The number of rows is at least 1<" in text
    assert "The mean of in_train is at most 0.01<" in text
    assert "The mean of mean is at most 900<" in text
    assert "Each row's finite is True<" in text
    assert "The number of different values of label is at least 2<" in text
    assert "If split ==" not in text


def test_of_one_row_the_measured_value_is_there(check):
    record = check(Data())

    near = next(r for r in record.results if r.column == "near_copies")
    assert (near.passed, near.observed) == (True, "0")
    text = re.sub(r"\s*<.*?>\s*", "|", Path(record.docs_uri).read_text())
    assert "|near_copies is between 0 and 0.01||0|" in text
    assert "of 1 rows" not in text


@pytest.mark.parametrize("severity", ["critical", "warning"])
def test_kept_data_with_failed_checks_is_explained(check, severity):
    data = Data()
    mean = {"column": "mean", "max_value": 3, "severity": "warning"}
    if severity == "critical":  # of a row, which is set aside
        data.pixels[7], mean["max_value"] = 0, 300
    clean = check(Data())
    record = check(data, expectation("column_mean_to_be_between", **mean))

    assert " The rest only " not in Path(clean.docs_uri).read_text()
    page = Path(record.docs_uri)
    assert re.search(
        r"(\d+) of (?!\1)\d+ checks passed. The rest only warns, or sets rows aside "
        "within\\s+the limit.",
        page.read_text(),
    )
    rows = [row[4] for row in rows_of(index_of(page), "kept")]
    assert sorted("the rest warns" in passed for passed in rows) == [False, True]


def test_nothing_on_a_page_asks_a_network_or_runs(check):
    page = Path(check(Data()).docs_uri)

    for text in (page.read_text(), index_of(page)):
        assert not re.search(r"<script|<link|https?://|url\(", text)
        assert "default-src 'none'" in html.unescape(text)


def test_the_page_and_the_index_have_the_verdict(check):
    kept = Path(check(Data()).docs_uri)
    with pytest.raises(ContractError) as refused:
        check(Data(), expectation("table_row_count_to_be_between", min_value=10**6))
    (page,) = re.findall(r"All checks: (\S+)", str(refused.value))

    assert "the data keeps its contract" in kept.read_text()
    assert "<strong>refused</strong>" in Path(page).read_text()
    index = index_of(kept)
    assert f'href="{kept.parent.name}/index.html"' in index
    (row,) = rows_of(index, "kept")
    assert row[:4] == [
        "pets",
        "made",
        "100 rows",
        "kept",
    ]  # pipeline, source, rows, verdict
    (row,) = rows_of(index, "refused")
    assert "expect_table_row_count_to_be_between" in row[3]
