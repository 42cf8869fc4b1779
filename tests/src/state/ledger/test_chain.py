"""Every row has its link, and is the same when it comes back from the database."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import sqlalchemy as sa
from tests.src.state.ledger.conftest import a_version, fill, promote, some_evidence

from headrace.records import GateResult
from headrace.state.ledger import Ledger
from headrace.state.ledger.events import EVENTS

ODD = {
    "floats": [0.1, 1e22, 5e-324, -0.0, 1.0, 123456789.123456789],
    "whole": [0, -1, 2**53 + 1],
    "texts": ["", "é ü 汉字 \U0001f600", 'quo"te\\', "a\nb\tc", "NaN"],
    "others": [True, False, None, [], {}, {"b": 1, "a": {"z": None}}],
}


def rows_of(url):
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(EVENTS).order_by(EVENTS.c.number))
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
    own = {k: row[k] for k in ("kind", "model", "subject", "step", "rests_on", "body")}
    text = json.dumps(own, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert (row["kind"], row["model"], row["step"]) == ("entry", "digits", 1)
    assert row["rests_on"] == before["number"] == 2, "the evidence"
    assert row["digest"] == digest
    values = [before["link"], 3, digest]
    assert row["link"] == hashlib.sha256(json.dumps(values).encode()).hexdigest()
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
        if "FROM events" not in statement:
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
    Ledger(url)

    def write(writer):
        ledger = Ledger(url)
        for turn in range(10):
            ledger.anchor({f"{writer}/{turn}": "d", f"shared/{turn}": str(writer)})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    report = Ledger(url).walk_chain()
    assert report.problem == ""
    assert report.rows >= 4 * 10 + 10
    assert [row["number"] for row in rows_of(url)] == [*range(1, report.rows + 1)]


def test_the_last_anchor_of_a_key_holds(url):
    ledger = Ledger(url)
    ledger.anchor({"a": "1", "b": "2"})
    ledger.anchor({"a": "1"})
    assert ledger.walk_chain().rows == 2, "what is known is not said twice"
    ledger.anchor({"a": "3", "b": ""})
    ledger.anchor({"a": "1"})
    assert ledger.anchors(["a", "b", "c"]) == {"a": "1"}
    assert ledger.anchors() == {"a": "1"}
    many = {str(number): "d" for number in range(1200)}
    ledger.anchor(many)
    assert ledger.anchors(many) == many
