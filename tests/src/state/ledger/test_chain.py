"""Every row has its link, and is the same when it comes back from the database.

A ledger of format 1 is taken over once, as it is, and recorded as taken over.
"""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.src.state.ledger.conftest import a_version, fill, promote, some_evidence

from headrace.errors import DependencyError
from headrace.records import GateResult
from headrace.state.ledger import Ledger
from headrace.state.ledger.tables import CHAIN, ENTRIES

ODD = {
    "floats": [0.1, 1e22, 5e-324, -0.0, 1.0, 123456789.123456789],
    "whole": [0, -1, 2**53 + 1],
    "texts": ["", "é ü 汉字 \U0001f600", 'quo"te\\', "a\nb\tc", "NaN"],
    "others": [True, False, None, [], {}, {"b": 1, "a": {"z": None}}],
}


def links(url: str) -> list[dict[str, object]]:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(CHAIN).order_by(CHAIN.c.number))
        found = [dict(row) for row in rows.mappings()]
    engine.dispose()
    return found


def test_rows_of_all_kinds_come_back_as_they_were_chained(url: str) -> None:
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


def test_a_link_is_over_its_row_and_the_link_before(url: str) -> None:
    ledger = Ledger(url)
    fill(ledger, 1)
    promote(ledger, 1)
    last, before = links(url)[2], links(url)[1]
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        row = dict(connection.execute(sa.select(ENTRIES)).mappings().one())
    engine.dispose()
    text = json.dumps(row, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert (last["table"], last["row"]) == ("entries", '["digits", 1]')
    assert last["digest"] == digest
    values = [before["link"], 3, "entries", '["digits", 1]', digest]
    assert last["link"] == hashlib.sha256(json.dumps(values).encode()).hexdigest()
    assert ledger.walk_chain().head == last["link"]


def test_a_row_that_is_refused_leaves_no_link(url: str) -> None:
    ledger = Ledger(url)
    fill(ledger, 1)
    before = ledger.walk_chain()
    assert ledger.add_version(a_version(7, training="t1")).version == 1
    assert ledger.walk_chain() == before


@pytest.mark.parametrize("check", ["glance", "walk"])
def test_what_is_added_during_a_check_is_no_tampering(url: str, check: str) -> None:
    ledger = Ledger(url)
    fill(ledger, 1)
    promote(ledger, 1)
    others = iter([Ledger(url)])

    def add_more(_: object, __: object, statement: str, *___: object) -> None:
        if "FROM entries" not in statement:
            return
        for other in others:  # once: between this query and the next
            fill(other, 2, others=(1,))
            promote(other, 2)

    sa.event.listen(sa.Engine, "after_cursor_execute", add_more)
    try:
        found = ledger.glance() if check == "glance" else ledger.walk_chain().problem
    finally:
        sa.event.remove(sa.Engine, "after_cursor_execute", add_more)
    assert next(others, None) is None
    assert found == ""
    assert ledger.walk_chain().rows == 7


def test_many_writers_make_one_chain(url: str) -> None:
    Ledger(url)

    def write(writer: int) -> None:
        ledger = Ledger(url)
        for turn in range(10):
            ledger.anchor({f"{writer}/{turn}": "d", f"shared/{turn}": str(writer)})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    report = Ledger(url).walk_chain()
    assert report.problem == ""
    assert report.rows >= 4 * 10 + 10
    assert [link["number"] for link in links(url)] == [*range(1, report.rows + 1)]


def test_the_last_anchor_of_a_key_holds(url: str) -> None:
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


# As releases before the chain made them.
TABLES = """
CREATE TABLE ledger_format (format INTEGER NOT NULL);
CREATE TABLE versions (model VARCHAR NOT NULL, training VARCHAR NOT NULL,
  run_id VARCHAR NOT NULL, model_uri VARCHAR NOT NULL, model_digest VARCHAR NOT NULL,
  weights_digest VARCHAR NOT NULL, snapshot_digest VARCHAR NOT NULL,
  created VARCHAR NOT NULL, created_by VARCHAR NOT NULL, version INTEGER NOT NULL,
  details JSON NOT NULL, PRIMARY KEY (model, version), UNIQUE (model, training));
CREATE TABLE evidence (id {id} PRIMARY KEY, model VARCHAR NOT NULL,
  kind VARCHAR NOT NULL, snapshot_digest VARCHAR NOT NULL, run_id VARCHAR NOT NULL,
  created VARCHAR NOT NULL, version INTEGER NOT NULL,
  champion_sequence INTEGER NOT NULL, champion_version INTEGER,
  passed BOOLEAN NOT NULL, gates JSON NOT NULL, metrics JSON NOT NULL,
  FOREIGN KEY(model, version) REFERENCES versions (model, version));
CREATE TABLE entries (model VARCHAR NOT NULL, action VARCHAR NOT NULL,
  who VARCHAR NOT NULL, "when" VARCHAR NOT NULL, why VARCHAR NOT NULL,
  sequence INTEGER NOT NULL, to_version INTEGER NOT NULL, from_version INTEGER,
  forced BOOLEAN NOT NULL, evidence_id INTEGER, UNIQUE (model, sequence),
  FOREIGN KEY(evidence_id) REFERENCES evidence (id));
CREATE TABLE approvals (id {id} PRIMARY KEY, model VARCHAR NOT NULL,
  action VARCHAR NOT NULL, who VARCHAR NOT NULL, "when" VARCHAR NOT NULL,
  why VARCHAR NOT NULL, version INTEGER NOT NULL, step INTEGER NOT NULL,
  expires VARCHAR, four_eyes BOOLEAN NOT NULL, evidence_id INTEGER,
  UNIQUE (model, version, step));
INSERT INTO ledger_format VALUES (1);
"""


def fill_old(url: str) -> None:
    """Two versions with evidence, the second promoted after the first."""
    sqlite = url.startswith("sqlite")
    yes = "1" if sqlite else "true"
    no = "0" if sqlite else "false"
    gates = json.dumps([{"name": "accuracy", "passed": True, "value": 0.5}])
    text = TABLES.format(id="INTEGER" if sqlite else "SERIAL")
    for n in (1, 2):
        before = "NULL" if n == 1 else n - 1
        day = f"2026-01-0{n}"
        text += f"""
        INSERT INTO versions VALUES ('digits', 't{n}', 'r{n}', 'u', 'd', 'w', 's',
          '{day}', 'ada@lab', {n}, '{{}}');
        INSERT INTO evidence (model, kind, snapshot_digest, run_id, created, version,
          champion_sequence, champion_version, passed, gates, metrics)
          VALUES ('digits', 'gates', 's', 'r{n}', '{day}', {n}, {n - 1}, NULL,
          {yes}, '{gates}', '{{"test_accuracy": 0.{n}}}');
        INSERT INTO entries VALUES ('digits', 'promote', 'ada@lab', '{day}', 'why',
          {n}, {n}, {before}, {no}, {n});"""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in text.split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_old_ledger_stays_usable(url: str, caplog: pytest.LogCaptureFixture) -> None:
    fill_old(url)
    ledger = Ledger(url)
    assert "made by an older Headrace. Its 6 rows were migrated" in caplog.text
    caplog.clear()
    assert [entry.to_version for entry in ledger.history("digits")] == [1, 2]
    evidence = ledger.latest_evidence("digits", 2)
    assert evidence is not None
    assert (evidence.law, evidence.overrides, evidence.law_digest) == ({}, (), "")
    assert evidence.metrics == {"test_accuracy": 0.2}
    fill(ledger, 3)
    promote(ledger, 3, forced=True, why="as before")
    assert ledger.rollback("digits", who="ada", why="", expected_sequence=3)
    again = Ledger(url)
    assert again.walk_chain().problem == ""
    (adoption,) = again.adoptions()
    assert (adoption.what, adoption.count) == ("ledger", 6)
    assert again.awaits_adoption
    assert "taken over" not in caplog.text


def test_rows_that_were_taken_over_are_kept_like_others(url: str) -> None:
    fill_old(url)
    Ledger(url)
    engine = sa.create_engine(url)
    for statement in ("UPDATE entries SET why = 'x'", "DELETE FROM versions"):
        with (
            pytest.raises(sa.exc.DBAPIError, match="never changed or removed"),
            engine.begin() as connection,
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


def test_an_older_release_refuses_what_was_taken_over(url: str) -> None:
    """It reads the first format that it finds, and does not add rows without links."""
    fill_old(url)
    Ledger(url)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        formats = connection.exec_driver_sql("SELECT format FROM ledger_format").all()
    engine.dispose()
    assert formats == [(2,)]
    assert Ledger.format_at(url) == 2


def test_two_at_once_take_over_once(url: str) -> None:
    fill_old(url)
    with ThreadPoolExecutor(4) as pool:
        ledgers = list(pool.map(Ledger, [url] * 4))
    assert [len(ledger.adoptions()) for ledger in ledgers] == [1] * 4
    assert ledgers[0].walk_chain().rows == 7
    stores = [ledger.adopt_store({"a": "1"}, "ada@lab") for ledger in ledgers]
    assert sorted(stores) == [False, False, False, True]
    assert not ledgers[0].awaits_adoption


def test_an_old_ledger_that_cannot_be_written_stays_as_it_is(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/ledger.db"
    fill_old(url)
    with pytest.raises(DependencyError, match="readonly database"):
        Ledger(f"sqlite:///file:{tmp_path}/ledger.db?mode=ro&uri=true")
    assert Ledger.format_at(url) == 1
    assert Ledger(url).sequence("digits") == 2


def test_a_new_ledger_awaits_no_adoption(url: str) -> None:
    ledger = Ledger(url)
    assert not ledger.awaits_adoption
    assert ledger.adoptions() == []
