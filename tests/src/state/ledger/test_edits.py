"""A clumsy edit of the ledger is found."""

import os
import re
import sqlite3
import stat

import pytest
from tests.src.state.ledger.conftest import (
    fill,
    promote,
    run,
    setting,
    some_evidence,
    url_of,
)

from headrace.errors import IntegrityError, UsageError
from headrace.state.ledger import Ledger


@pytest.fixture
def filled(url):
    """A ledger with versions, evidence and promotions."""
    made = Ledger(url)
    fill(made, 1, 2, 3)
    promote(made, 1)
    promote(made, 2)
    made.add_evidence(some_evidence(3, passed=False))
    return made


def link(number):
    return f"(SELECT link FROM ledger_chain WHERE number = {number})"


ENTRY = "kind = 'decision' AND sequence = 2"
PUT_IN = (
    "INSERT INTO ledger_chain (number, kind, model, sequence, version, link, body) "
    "SELECT {number}, kind, model, 9, version, {link}, body "
    f"FROM ledger_chain WHERE {ENTRY}"
)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        pytest.param(
            ("why", "x", ENTRY),
            r"the row \d+ \(decision digits/2\) was changed",
            id="a reason",
        ),
        pytest.param(
            ("model_digest", "e", "kind = 'version' AND sequence = 2"),
            r"the row \d+ \(version digits/2\) was changed",
            id="a model",
        ),
        pytest.param(
            ("metrics", {"test_accuracy": 1.0}, "kind = 'evidence' AND sequence = 1"),
            r"the row 2 \(evidence digits/1\) was changed",
            id="a metric",
        ),
        pytest.param(
            f"UPDATE ledger_chain SET sequence = 9 WHERE {ENTRY}",
            r"the row \d+ \(decision digits/9\) was changed",
            id="a place in the history",
        ),
        pytest.param(
            f"UPDATE ledger_chain SET model = 'letters' WHERE {ENTRY}",
            r"the row \d+ \(decision letters/2\) was changed",
            id="the model of a promotion",
        ),
        pytest.param(
            f"DELETE FROM ledger_chain WHERE {ENTRY}",
            r"the row \d+ is gone",
            id="a promotion",
        ),
        pytest.param(
            f"UPDATE ledger_chain SET link = {link(3)} WHERE number = 4",
            r"the row 4 \(.*\) was changed",
            id="a link",
        ),
        pytest.param(
            PUT_IN.format(number=99, link=link(3)),
            r"the row \d+ is gone",
            id="a row put in",
        ),
        pytest.param(
            PUT_IN.format(
                number="(SELECT max(number) + 1 FROM ledger_chain)", link=link(3)
            ),
            r"the row \d+ \(decision digits/9\) was changed",
            id="a row put in at the end",
        ),
    ],
)
def test_an_edited_row_is_found(filled, url, edit, problem):
    rows = filled.walk_chain().rows
    statement = edit if isinstance(edit, str) else setting(url, *edit)
    run(url, statement)
    report = filled.walk_chain()
    assert abs(report.rows - rows) <= 1
    assert re.search(problem, report.problem), report.problem


def test_the_file_of_the_ledger_is_ours_alone(tmp_path):
    file = tmp_path / "headrace.db"
    before = os.umask(0)
    try:
        ledger = Ledger(f"sqlite:///{file}")
        fill(ledger, 1)
        holding = sqlite3.connect(file)
        holding.execute("SELECT count(*) FROM ledger_chain").fetchone()
        fill(ledger, 2)
        beside = [*tmp_path.glob("headrace.db*")]
        assert len(beside) == 3, "SQLite's own files"
        assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}
        holding.close()
    finally:
        os.umask(before)


@pytest.fixture
def file(tmp_path):
    """A ledger in a file, with rows."""
    place = url_of(tmp_path)
    made = Ledger(place)
    fill(made, 1, 2)
    promote(made, 1)
    return place


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_chain SET body = '[1, 2' WHERE number = 4",
        "UPDATE ledger_chain SET body = 'null' WHERE number = 4",
        f"UPDATE ledger_chain SET body = '{'[' * 100_000}' WHERE number = 4",
        "UPDATE ledger_chain SET body = CAST(x'ff00' AS TEXT) WHERE number = 4",
    ],
    ids=["no JSON", "no object", "too deep", "no text"],
)
def test_a_row_that_cannot_be_read_is_named(file, statement):
    run(file, statement)
    ledger = Ledger(file)
    assert re.search(r"the row 4.* was changed", ledger.walk_chain().problem)
    with pytest.raises(IntegrityError, match=r"damaged or changed.*headrace verify"):
        ledger.evidence_of("digits")


@pytest.mark.parametrize(
    ("statement", "error", "message"),
    [
        ("UPDATE ledger_format SET format = 1", UsageError, "has format 1; this"),
        ("DELETE FROM ledger_format", IntegrityError, "its table ledger_format"),
        ("DROP TABLE ledger_format", IntegrityError, "its table ledger_format"),
    ],
)
def test_a_marker_that_was_changed_makes_no_new_ledger(file, statement, error, message):
    run(file, statement)
    with pytest.raises(error, match=message):
        Ledger(file)


def test_a_table_that_is_gone_is_not_made_anew(file):
    run(file, "DROP TABLE ledger_chain")
    with pytest.raises(IntegrityError, match="no such table: ledger_chain"):
        Ledger(file).walk_chain()


def test_a_column_that_is_gone_is_no_outage(file):
    run(file, "ALTER TABLE ledger_chain RENAME COLUMN body TO text")
    with pytest.raises(IntegrityError, match="no such column"):
        Ledger(file).history("digits")


def test_a_file_that_lost_its_end_is_damaged(file):
    run(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    database = file.removeprefix("sqlite:///")
    os.truncate(database, os.path.getsize(database) // 2)
    with pytest.raises(IntegrityError, match="malformed"):
        Ledger(file).evidence_of("digits")


def test_a_tail_that_was_cut_off_is_missed_by_who_kept_the_last_link(filled, url):
    """Nothing that is left of the ledger tells."""
    kept = filled.walk_chain().head
    assert filled.walk_chain({kept}).problem == ""
    run(
        url,
        "DELETE FROM ledger_chain WHERE kind = 'evidence' AND sequence > 9",
    )
    assert filled.walk_chain().problem == ""
    assert f"the link {kept} is gone" in filled.walk_chain({kept}).problem
