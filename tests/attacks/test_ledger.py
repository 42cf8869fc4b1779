"""The ledger's rows stay as they were written, and who changes them is found out."""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.src.conftest import postgres, url  # noqa: F401
from tests.src.state.ledger.conftest import fill, promote

from headrace.errors import IntegrityError, UsageError
from headrace.state.ledger import Approval, Ledger
from headrace.state.ledger.anchors import Deployments
from headrace.state.ledger.collections import Collected
from headrace.state.ledger.rows import Tampering
from headrace.state.ledger.tables import CHAIN, CHAINED, METADATA

TABLES = [table.name for table in (*CHAINED, CHAIN)]
# What would change or remove rows, however it is written.
STATEMENTS = {
    "sqlite": [
        'UPDATE "{table}" SET {column} = {column}',
        'DELETE FROM "{table}"',
        'INSERT OR REPLACE INTO "{table}" SELECT * FROM "{table}"',
        'REPLACE INTO "{table}" SELECT * FROM "{table}"',
        'INSERT OR REPLACE INTO "{table}" (rowid, {columns}) '
        'SELECT rowid, {columns} FROM "{table}"',
    ],
    "postgresql": [
        'UPDATE "{table}" SET {column} = {column}',
        'DELETE FROM "{table}"',
        'TRUNCATE "{table}" CASCADE',
    ],
}


@pytest.fixture
def ledger(url: str) -> Ledger:  # noqa: F811
    """A ledger with a row in every table."""
    made = Ledger(url)
    fill(made, 1, 2, 3)
    promote(made, 1)
    promote(made, 2)
    files = {"model_uri": "models:/m-9", "model_digest": "e" * 64, "run_id": "run9"}
    made.bind(
        made.version("digits", 1), **files, golden_digest="g", who="ada@lab", why="lost"
    )
    made.anchor({"stages/a.json": "a" * 64, "stages/b.json": "b" * 64})
    word = Approval(model="digits", version=3, step=1, action="request", who="ada@lab")
    made.add_approval(word)
    seen = Tampering(model="digits", what="alias", who="ada@lab", why="moved")
    assert made.add_tampering(seen, {})
    item = Collected(kind="engines", key="engines/x")
    policy = {"who": "ada@lab", "policy": {}, "decisions": made.decisions()}
    made.record_collection([item], [], **policy)
    number = made.begin_forgetting("digits", "item", "ada@lab", ["f" * 64])
    made.end_forgetting([number], {"train": 1})
    Deployments(url).record({"train/digits": "a.b"}, "ada@lab")
    return made


def run(url: str, *statements: str) -> None:  # noqa: F811
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize("name", TABLES)
def test_no_row_is_changed_or_removed(ledger: Ledger, url: str, name: str) -> None:  # noqa: F811
    kind = url.partition(":")[0].partition("+")[0]
    columns = [f'"{column.name}"' for column in METADATA.tables[name].columns]
    before = ledger.walk_chain()
    assert before.problem == ""
    for statement in STATEMENTS[kind]:
        text = statement.format(
            table=name, column=columns[0], columns=", ".join(columns)
        )
        with pytest.raises(sa.exc.DBAPIError, match="never changed or removed"):
            run(url, text)
    assert ledger.walk_chain() == before


def without_triggers(url: str, *statements: str) -> None:  # noqa: F811
    """What somebody does who may write the database and drops the triggers first."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            triggers = dict(connection.exec_driver_sql(query).all())
            for name in triggers:
                connection.exec_driver_sql(f'DROP TRIGGER "{name}"')
            for statement in statements:
                connection.exec_driver_sql(statement)
            for text in triggers.values():
                connection.exec_driver_sql(text)
        else:
            for name in TABLES:
                connection.exec_driver_sql(f'ALTER TABLE "{name}" DISABLE TRIGGER USER')
            for statement in statements:
                connection.exec_driver_sql(statement)
            for name in TABLES:
                connection.exec_driver_sql(f'ALTER TABLE "{name}" ENABLE TRIGGER USER')
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        pytest.param(
            "UPDATE entries SET why = 'x' WHERE sequence = 2",
            r'the row \["digits", 2\] of entries \(link \d+\) was changed',
            id="a reason",
        ),
        pytest.param(
            "UPDATE versions SET model_digest = 'e' WHERE version = 2",
            r'the row \["digits", 2\] of versions .* was changed',
            id="a model",
        ),
        pytest.param(
            "UPDATE anchors SET digest = 'f' WHERE key = 'stages/a.json'",
            r"the row \[\d+\] of anchors .* was changed",
            id="an anchor",
        ),
        pytest.param(
            "UPDATE evidence SET metrics = '{\"test_accuracy\": 1.0}' WHERE id = 1",
            r"the row \[1\] of evidence .* was changed",
            id="a metric",
        ),
        pytest.param(
            "DELETE FROM entries WHERE sequence = 2",
            r'the row \["digits", 2\] of entries .* was removed',
            id="a promotion",
        ),
        pytest.param(
            "DELETE FROM chain WHERE number = 4",
            "link 4 of the chain is gone",
            id="link",
        ),
        pytest.param(
            "UPDATE chain SET digest = 'f' WHERE number = 4",
            "link 4 of the chain does not follow",
            id="a digest of the chain",
        ),
        pytest.param(
            "INSERT INTO anchors (id, key, digest, created) "
            "VALUES (99, 'stages/z.json', 'z', 'now')",
            r"the row \[99\] of anchors is in no link",
            id="a row put in",
        ),
    ],
)
def test_who_changes_a_row_is_found_out(
    ledger: Ledger,
    url: str,  # noqa: F811
    statement: str,
    problem: str,
) -> None:
    rows = ledger.walk_chain().rows
    without_triggers(url, statement)
    report = ledger.walk_chain()
    assert rows - 1 <= report.rows <= rows
    assert re.search(problem, report.problem), report.problem


def test_triggers_that_are_gone_are_missed(ledger: Ledger, url: str) -> None:  # noqa: F811
    if url.startswith("sqlite"):
        run(url, 'DROP TRIGGER "entries_no_delete"')
        expected = "the trigger entries_no_delete is gone or changed"
    else:
        run(url, 'ALTER TABLE "entries" DISABLE TRIGGER USER')
        expected = "the trigger entries_append_only is gone or changed"
    assert ledger.walk_chain().problem == expected


def test_a_trigger_that_does_nothing_any_more_is_missed(tmp_path: Path) -> None:
    place = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger(place)
    run(
        place,
        'DROP TRIGGER "entries_no_update"',
        'CREATE TRIGGER "entries_no_update" BEFORE UPDATE ON "entries" '
        "BEGIN SELECT 1; END",
    )
    assert "entries_no_update" in ledger.walk_chain().problem


def test_the_file_of_the_ledger_is_ours_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "headrace.db"
    before = os.umask(0)
    try:
        ledger = Ledger(f"sqlite:///{file}")
        fill(ledger, 1)
        holding = sqlite3.connect(file)
        holding.execute("SELECT count(*) FROM versions").fetchone()
        fill(ledger, 2)
        beside = [*tmp_path.glob("headrace.db*")]
        assert len(beside) == 3, "SQLite's own files"
        assert {stat.S_IMODE(path.stat().st_mode) for path in beside} == {0o600}
        holding.close()
        file.chmod(0o644)
        Ledger(f"sqlite:///{file}")
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "headrace.db was readable by others (mode 0644)" in caplog.text


def test_the_row_is_named_although_the_triggers_are_gone_too(
    ledger: Ledger,
    url: str,  # noqa: F811
) -> None:
    without_triggers(url, "UPDATE entries SET why = 'x' WHERE sequence = 2")
    if url.startswith("sqlite"):
        run(url, 'DROP TRIGGER "entries_no_update"')
    else:
        run(url, 'ALTER TABLE "entries" DISABLE TRIGGER USER')
    problem = ledger.walk_chain().problem
    assert '["digits", 2] of entries' in problem
    assert "; the trigger entries_" in problem


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A ledger in a file, with rows."""
    place = f"sqlite:///{tmp_path}/ledger.db"
    made = Ledger(place)
    fill(made, 1, 2)
    promote(made, 1)
    return place


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE evidence SET gates = '[1, 2' WHERE version = 2",
        "UPDATE evidence SET run_id = CAST(x'ff00' AS TEXT) WHERE version = 2",
    ],
    ids=["no JSON", "no text"],
)
def test_a_row_that_cannot_be_read_is_named(file: str, statement: str) -> None:
    without_triggers(file, statement)
    ledger = Ledger(file)
    assert re.search(
        r"the row \[2\] of evidence .* was changed", ledger.walk_chain().problem
    )
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
def test_a_marker_that_was_changed_makes_no_new_ledger(
    file: str, statement: str, error: type[Exception], message: str
) -> None:
    run(file, statement)
    with pytest.raises(error, match=message):
        Ledger(file)


def test_a_table_that_is_gone_is_not_made_anew(file: str) -> None:
    run(file, "DROP TABLE forgettings")
    with pytest.raises(IntegrityError, match="no such table: forgettings"):
        Ledger(file).walk_chain()


def test_a_column_that_is_gone_is_no_outage(file: str) -> None:
    run(file, "ALTER TABLE entries RENAME COLUMN who TO whom")
    with pytest.raises(IntegrityError, match="no such column"):
        Ledger(file).history("digits")


def test_a_file_that_lost_its_end_is_damaged(file: str) -> None:
    run(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    os.truncate(file.removeprefix("sqlite:///"), 40_000)
    with pytest.raises(IntegrityError, match="malformed"):
        Ledger(file).evidence_of("digits")


def test_a_tail_that_was_cut_off_is_missed_by_who_kept_the_last_link(
    ledger: Ledger,
    url: str,  # noqa: F811
) -> None:
    """Nothing that is left of the ledger tells."""
    kept = ledger.walk_chain().head
    assert ledger.walk_chain(kept).problem == ""
    without_triggers(
        url,
        "DELETE FROM deployments",
        "DELETE FROM chain WHERE number = (SELECT max(number) FROM chain)",
    )
    assert ledger.walk_chain().problem == ""
    assert f"the link {kept} is gone" in ledger.walk_chain(kept).problem
