"""A ledger of format 1 is taken over once, as it is, and recorded as taken over."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from tests.src.state.ledger.conftest import fill, promote

from headrace.errors import DependencyError
from headrace.state.ledger import Ledger

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
