"""Every row has its link, and is the same when it comes back from the database."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.src.state.ledger.conftest import (
    a_version,
    fill,
    promote,
    run,
    some_evidence,
)

from headrace.records import GateResult
from headrace.state.ledger import Approval, Ledger
from headrace.state.ledger.schema import CHAIN

ODD = {
    "floats": [0.1, 1e22, 5e-324, -0.0, 1.0, 123456789.123456789],
    "whole": [0, -1, 2**53 + 1],
    "texts": ["", "é ü 汉字 \U0001f600", 'quo"te\\', "a\nb\tc", "NaN"],
    "others": [True, False, None, [], {}, {"b": 1, "a": {"z": None}}],
}


def rows_of(url):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(CHAIN).order_by(CHAIN.c.number))
        found = [dict(row) for row in rows.mappings()]
    engine.dispose()
    return found


def test_rows_of_all_kinds_come_back_as_they_were_chained(url):
    ledger = Ledger(url)
    ledger.add_version(a_version(1, details=ODD))
    gate = GateResult(name="é", passed=False, value=1e-300, p_value=None)
    metrics = {"a": 0.1 + 0.2, "b": None, "c": float("nan"), "d": float("inf")}
    ledger.add_evidence(
        some_evidence(1, passed=False, gates=(gate,), metrics=metrics, law=ODD)
    )
    promote(ledger, 1, forced=True, why="ünïcode ‘why’")
    again = Ledger(url)
    report = again.walk_chain()
    assert (report.rows, report.problem) == (3, "")
    assert again.version("digits", 1).details == ODD


def test_a_link_is_over_its_row_and_the_link_before(url):
    ledger = Ledger(url)
    fill(ledger, 1)
    promote(ledger, 1)
    row, before = rows_of(url)[2], rows_of(url)[1]
    names = ("number", "kind", "model", "sequence", "version")
    own = [row[name] for name in names]
    assert own == [3, "decision", "digits", 1, 1]
    body = json.dumps(row["body"], separators=(",", ":"))
    text = json.dumps([before["link"], *own, body], separators=(",", ":"))
    assert row["link"] == hashlib.sha256(text.encode()).hexdigest()
    assert ledger.walk_chain().head == row["link"]


def test_a_row_that_is_refused_leaves_no_link(url):
    ledger = Ledger(url)
    fill(ledger, 1)
    before = ledger.walk_chain()
    assert ledger.add_version(a_version(7, training="t1")).version == 1
    assert ledger.walk_chain() == before


def test_what_is_added_during_a_check_is_no_tampering(url):
    ledger = Ledger(url)
    fill(ledger, 1)
    promote(ledger, 1)
    others = iter([Ledger(url)])

    def add_more(_, __, statement, *___):
        if "FROM ledger_chain" not in statement:
            return
        for other in others:  # once: between this query and the next
            fill(other, 2, others=(1,))
            promote(other, 2)

    sa.event.listen(sa.Engine, "after_cursor_execute", add_more)
    try:
        found = ledger.walk_chain().problem
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", add_more)
    assert next(others, None) is None
    assert found == ""
    assert ledger.walk_chain().rows == 7


def test_many_writers_make_one_chain(url):
    fill(Ledger(url), 1)

    def write(writer):
        ledger = Ledger(url)
        for turn in range(10):
            ledger.add_evidence(some_evidence(1, metrics={"by": writer, "at": turn}))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    ledger = Ledger(url)
    report = ledger.walk_chain()
    assert (report.rows, report.problem) == (2 + 4 * 10, "")
    assert [row["number"] for row in rows_of(url)] == [*range(1, report.rows + 1)]


@pytest.mark.parametrize("kind", ["version", "evidence", "decision", "approval"])
def test_no_number_of_a_kind_is_given_twice(url, kind):
    """Also where a writer does without the lock."""
    ledger = Ledger(url)
    fill(ledger, 1)
    promote(ledger, 1)
    ask = Approval(model="digits", version=1, step=1, action="request", who="ada")
    ledger.add_approval(ask)
    names = ", ".join(CHAIN.c.keys()[1:])
    again = f"INSERT INTO ledger_chain SELECT 99, {names} FROM ledger_chain"
    with pytest.raises(sa.exc.IntegrityError):
        run(url, f"{again} WHERE kind = '{kind}'")
