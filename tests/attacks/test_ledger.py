"""The ledger's rows stay as they were written, and who changes them is found out."""

import json
import os
import re
import sqlite3
import stat

import pytest
import sqlalchemy as sa
from tests.src.conftest import postgres, url  # noqa: F401
from tests.src.state.ledger.conftest import fill, promote

from headrace.errors import IntegrityError, UsageError
from headrace.state.home import Home
from headrace.state.ledger import Approval, Ledger
from headrace.state.ledger.disposals import Collected
from headrace.state.ledger.events import EVENTS
from headrace.state.ledger.files import Deployments
from headrace.state.ledger.tamperings import Tampering

KINDS = [
    "version",
    "evidence",
    "entry",
    "approval",
    "binding",
    "anchor",
    "fact",
    "tampering",
    "collection",
    "collected",
    "forgetting",
    "tombstone",
    "forgotten",
]
COLUMNS = ", ".join(column.name for column in EVENTS.columns)
OTHERS = COLUMNS.partition(", ")[2]
# What would change or remove rows, however it is written.
STATEMENTS = {
    "sqlite": [
        "UPDATE events SET body = body WHERE {own}",
        "DELETE FROM events WHERE {own}",
        "INSERT OR REPLACE INTO events SELECT * FROM events WHERE {own}",
        "REPLACE INTO events SELECT * FROM events WHERE {own}",
        f"INSERT OR REPLACE INTO events (rowid, {COLUMNS}) "
        f"SELECT rowid, {COLUMNS} FROM events WHERE {{own}}",
        f"INSERT OR REPLACE INTO events (number, {OTHERS}) "
        f"SELECT number + 99, {OTHERS} FROM events WHERE {{own}}",
    ],
    "postgresql": [
        "UPDATE events SET body = body WHERE {own}",
        "DELETE FROM events WHERE {own}",
        "TRUNCATE events CASCADE",
    ],
}


def setting(url, field, value, where):  # noqa: F811
    """The statement that sets a field of the body of rows."""
    text = json.dumps(value)
    if url.startswith("sqlite"):
        body = f"json_set(body, '$.{field}', json('{text}'))"
    else:
        body = f"jsonb_set(body::jsonb, '{{{field}}}', '{text}')::json"
    return f"UPDATE events SET body = {body} WHERE {where}"


@pytest.fixture
def ledger(url):  # noqa: F811
    """A ledger with a row of every kind."""
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


def run(url, *statements):  # noqa: F811
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


@pytest.mark.parametrize("kind", KINDS)
def test_no_row_is_changed_or_removed(ledger, url, kind):  # noqa: F811
    own = f"kind = '{kind}' AND step = 1"
    before = ledger.walk_chain()
    assert before.problem == ""
    for statement in STATEMENTS[url.partition(":")[0].partition("+")[0]]:
        with pytest.raises(sa.exc.DBAPIError, match="never changed or removed"):
            run(url, statement.format(own=own))
    assert ledger.walk_chain() == before


def test_a_row_of_another_number_and_step_does_not_replace_a_training(tmp_path):
    place = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger(place)
    fill(ledger, 1)
    others = OTHERS.replace("subject", "'2'", 1)
    with pytest.raises(sa.exc.DBAPIError, match="never changed or removed"):
        run(
            place,
            f"INSERT OR REPLACE INTO events (number, {OTHERS}) "
            f"SELECT 99, {others} FROM events WHERE kind = 'version'",
        )


def test_every_kind_of_row_is_attacked(ledger, url):  # noqa: F811
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        kinds = set(connection.execute(sa.select(EVENTS.c.kind)).scalars())
    engine.dispose()
    assert kinds == set(KINDS)


def without_triggers(url, *statements):  # noqa: F811
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
            connection.exec_driver_sql("ALTER TABLE events DISABLE TRIGGER USER")
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql("ALTER TABLE events ENABLE TRIGGER USER")
    engine.dispose()


def link(number):
    return f"(SELECT link FROM events WHERE number = {number})"


ENTRY = "kind = 'entry' AND step = 2"
PUT_IN = (
    "INSERT INTO events (number, kind, model, subject, step, body, digest, link) "
    "SELECT {number}, kind, model, 'stages/z.json', step, body, digest, {link} "
    "FROM events WHERE subject = 'stages/a.json'"
)


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        pytest.param(
            ("why", "x", ENTRY),
            r"the row \d+ \(entry digits/2\) was changed",
            id="a reason",
        ),
        pytest.param(
            ("model_digest", "e", "kind = 'version' AND subject = '2'"),
            r"the row \d+ \(version digits/2/1\) was changed",
            id="a model",
        ),
        pytest.param(
            ("digest", "f", "subject = 'stages/a.json'"),
            r"the row \d+ \(anchor stages/a.json/1\) was changed",
            id="an anchor",
        ),
        pytest.param(
            ("metrics", {"test_accuracy": 1.0}, "kind = 'evidence' AND step = 1"),
            r"the row 2 \(evidence digits/1\) was changed",
            id="a metric",
        ),
        pytest.param(
            f"UPDATE events SET step = 9 WHERE {ENTRY}",
            r"the row \d+ \(entry digits/9\) was changed",
            id="a place in the history",
        ),
        pytest.param(
            f"UPDATE events SET model = 'letters' WHERE {ENTRY}",
            r"the row \d+ \(entry letters/2\) was changed",
            id="the model of a promotion",
        ),
        pytest.param(
            f"DELETE FROM events WHERE {ENTRY}",
            r"the row \d+ is gone",
            id="a promotion",
        ),
        pytest.param(
            f"UPDATE events SET link = {link(3)} WHERE number = 4",
            r"the row 4 \(.*\) does not follow from the row before",
            id="a link",
        ),
        pytest.param(
            "UPDATE events SET digest = 'f' WHERE number = 4",
            r"the row 4 \(.*\) was changed",
            id="a digest",
        ),
        pytest.param(
            PUT_IN.format(number=99, link=link(3)),
            r"the row \d+ is gone",
            id="a row put in",
        ),
        pytest.param(
            PUT_IN.format(number="(SELECT max(number) + 1 FROM events)", link=link(3)),
            r"the row \d+ \(anchor stages/z.json/1\) was changed",
            id="a row put in at the end",
        ),
    ],
)
def test_who_changes_a_row_is_found_out(
    ledger,
    url,  # noqa: F811
    edit,
    problem,
):
    rows = ledger.walk_chain().rows
    statement = edit if isinstance(edit, str) else setting(url, *edit)
    without_triggers(url, statement)
    report = ledger.walk_chain()
    assert abs(report.rows - rows) <= 1
    assert re.search(problem, report.problem), report.problem


@pytest.mark.parametrize(
    ("edit", "names"),
    [
        (("to_version", 1, ENTRY), ("digits", "digits@champion")),
        (
            ("model_digest", "e", "kind = 'version' AND subject = '2'"),
            ("digits", "digits/2"),
        ),
        (f"UPDATE events SET digest = 'f' WHERE {ENTRY}", ("digits",)),
    ],
)
def test_a_champion_whose_row_was_edited_is_not_believed(
    ledger,
    url,  # noqa: F811
    edit,
    names,
):
    assert ledger.find("digits").version == 2
    statement = edit if isinstance(edit, str) else setting(url, *edit)
    without_triggers(url, statement)
    for name in names:
        with pytest.raises(IntegrityError, match=r"digits/2.* was changed") as refused:
            ledger.find(name)
        assert "headrace repair digits" in refused.value.action
    assert ledger.find("digits/1").version == 1
    with pytest.raises(IntegrityError, match=r"digits/2.* was changed"):
        ledger.require_written("digits", 2)


def test_triggers_that_are_gone_are_missed(ledger, url):  # noqa: F811
    if url.startswith("sqlite"):
        run(url, 'DROP TRIGGER "events_no_delete"')
        expected = "the trigger events_no_delete is gone or changed"
    else:
        run(url, 'ALTER TABLE "events" DISABLE TRIGGER USER')
        expected = "the trigger events_append_only is gone or changed"
    assert ledger.walk_chain().problem == expected


def test_a_trigger_that_does_nothing_any_more_is_missed(tmp_path):
    place = f"sqlite:///{tmp_path}/ledger.db"
    ledger = Ledger(place)
    run(
        place,
        'DROP TRIGGER "events_no_update"',
        'CREATE TRIGGER "events_no_update" BEFORE UPDATE ON "events" '
        "BEGIN SELECT 1; END",
    )
    assert "events_no_update" in ledger.walk_chain().problem


def test_a_trigger_of_somebody_else_is_named_and_taken_away(settings):
    """It ignores what is added, so that a promotion would be lost without an error."""
    home = Home(settings)
    fill(home.ledger, 1)
    home.copy.keep()
    ignore = "BEGIN SELECT RAISE(IGNORE); END"
    run(settings.database_url, f"CREATE TRIGGER quiet BEFORE INSERT ON events {ignore}")
    assert home.ledger.walk_chain().problem == "the trigger quiet is not Headrace's"
    assert home.copy.restore() == []
    assert home.ledger.walk_chain().problem == ""
    fill(home.ledger, 2)


def test_the_file_of_the_ledger_is_ours_alone(tmp_path, caplog):
    file = tmp_path / "headrace.db"
    before = os.umask(0)
    try:
        ledger = Ledger(f"sqlite:///{file}")
        fill(ledger, 1)
        holding = sqlite3.connect(file)
        holding.execute("SELECT count(*) FROM events").fetchone()
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
    ledger,
    url,  # noqa: F811
):
    without_triggers(url, setting(url, "why", "x", ENTRY))
    if url.startswith("sqlite"):
        run(url, 'DROP TRIGGER "events_no_update"')
    else:
        run(url, 'ALTER TABLE "events" DISABLE TRIGGER USER')
    problem = ledger.walk_chain().problem
    assert "(entry digits/2) was changed" in problem
    assert "; the trigger events_" in problem


@pytest.fixture
def file(tmp_path):
    """A ledger in a file, with rows."""
    place = f"sqlite:///{tmp_path}/ledger.db"
    made = Ledger(place)
    fill(made, 1, 2)
    promote(made, 1)
    return place


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET body = '[1, 2' WHERE number = 4",
        "UPDATE events SET body = 'null' WHERE number = 4",
        f"UPDATE events SET body = '{'[' * 100_000}' WHERE number = 4",
        "UPDATE events SET body = CAST(x'ff00' AS TEXT) WHERE number = 4",
        "UPDATE events SET digest = CAST(x'ff00' AS TEXT) WHERE number = 4",
    ],
    ids=["no JSON", "no object", "too deep", "no text", "no text for a digest"],
)
def test_a_row_that_cannot_be_read_is_named(file, statement):
    without_triggers(file, statement)
    ledger = Ledger(file)
    assert re.search(r"the row 4.* was changed", ledger.walk_chain().problem)
    assert ledger.glance() == ledger.walk_chain().problem
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
    run(file, "DROP TABLE events")
    with pytest.raises(IntegrityError, match="no such table: events"):
        Ledger(file).walk_chain()


def test_a_column_that_is_gone_is_no_outage(file):
    run(file, "ALTER TABLE events RENAME COLUMN body TO text")
    with pytest.raises(IntegrityError, match="no such column"):
        Ledger(file).history("digits")


def test_a_file_that_lost_its_end_is_damaged(file):
    run(file, "PRAGMA wal_checkpoint(TRUNCATE)")
    database = file.removeprefix("sqlite:///")
    os.truncate(database, os.path.getsize(database) // 2)
    with pytest.raises(IntegrityError, match="malformed"):
        Ledger(file).evidence_of("digits")


def test_a_tail_that_was_cut_off_is_missed_by_who_kept_the_last_link(
    ledger,
    url,  # noqa: F811
):
    """Nothing that is left of the ledger tells."""
    kept = ledger.walk_chain().head
    assert ledger.walk_chain(kept).problem == ""
    without_triggers(
        url,
        "DELETE FROM events WHERE number = (SELECT max(number) FROM events)",
    )
    assert ledger.walk_chain().problem == ""
    assert f"the link {kept} is gone" in ledger.walk_chain(kept).problem
