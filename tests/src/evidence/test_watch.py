"""What a look of the watch costs where the ledger has a long history."""

import itertools
import sqlite3
from contextlib import closing

import pytest
import sqlalchemy as sa
from tests.src.state.ledger.conftest import (
    a_version,
    setting,
    some_evidence,
    without_triggers,
)

from headrace.evidence import watch as watching
from headrace.evidence.watch import Watch
from headrace.state.ledger import Ledger, Mismatch
from headrace.state.tracking.artifacts import digest_at


@pytest.fixture
def work(monkeypatch):
    """Counts what SQLite does, in tens of its instructions."""
    done = [0]

    def count():
        done[0] += 1
        return 0

    def begin(connection, _record):
        connection.set_progress_handler(count, 10)

    sa.event.listen(sa.Engine, "connect", begin)
    yield done
    sa.event.remove(sa.Engine, "connect", begin)


def test_a_look_reads_only_what_is_new(settings, work):
    ledger, watch = Ledger(settings.database_url), Watch(settings)
    cost = []
    for history in (10, 3000):
        keys = [f"stages/{history}-{number}.json" for number in range(history)]
        ledger.anchor(dict.fromkeys(keys, "0" * 64))
        watch.look()
        ledger.anchor({f"stages/new-{history}.json": "0" * 64})
        before = work[0]
        assert watch.look() == []
        cost.append(work[0] - before)
    assert cost[0] > 0, "else nothing was counted"
    assert cost[1] < 2 * cost[0]


def test_a_row_that_was_edited_between_two_looks_is_seen_by_the_next_full_one(
    settings, monkeypatch
):
    monkeypatch.setattr("headrace.evidence.watch.CONFIRM_SECONDS", 0.0)
    ledger, watch = Ledger(settings.database_url), Watch(settings)
    ledger.anchor({"stages/a.json": "0" * 64, "stages/b.json": "0" * 64})
    assert watch.look() == []
    url = settings.database_url
    edit = setting(url, "digest", "f", "subject = 'stages/a.json'")
    without_triggers(url, edit)
    assert watch.look() == [], "only what is new was read"
    assert not watch.is_quiet(), "the hour is over"
    assert [step.what for step in watch.look()] == ["row 1 (anchor stages/a.json/1)"]


def test_a_decision_that_was_made_something_else_is_seen_by_the_next_look(
    settings, monkeypatch
):
    monkeypatch.setattr("headrace.evidence.watch.CONFIRM_SECONDS", 0.0)
    ledger, watch = Ledger(settings.database_url), Watch(settings)
    ledger.record({"project of digits": "ada's"}, "ada")
    ledger.anchor({"stages/a.json": "0" * 64})
    assert watch.look() == []
    disguise = "UPDATE events SET kind = 'anchor', body = '{}' WHERE kind = 'fact'"
    without_triggers(settings.database_url, disguise)
    (found,) = watch.look()
    assert "project of digits" in found.why


def test_a_past_that_was_written_anew_is_seen_by_the_next_look(settings, monkeypatch):
    monkeypatch.setattr("headrace.evidence.watch.CONFIRM_SECONDS", 0.0)
    ledger, watch = Ledger(settings.database_url), Watch(settings)
    ledger.anchor({"stages/a.json": "0" * 64})
    assert watch.look() == []
    without_triggers(settings.database_url, "DELETE FROM events")
    ledger.anchor({"stages/a.json": "1" * 64, "stages/b.json": "0" * 64})
    assert ledger.walk_chain().problem == ""
    (found,) = watch.look()
    assert "is gone: the chain was cut off or recomputed" in found.why


@pytest.fixture
def many(settings, monkeypatch):
    """A watch of more champions than a look takes; of none anything was changed."""
    ledger = Ledger(settings.database_url)
    for number in range(watching.FEW + 5):
        name = f"model-{number:02}"
        ledger.add_version(a_version(1, name))
        ledger.add_evidence(some_evidence(1, model=name))
        ledger.promote(name, 1, who="ada", why="", expected_sequence=0)
    into = (
        "INSERT INTO registered_model_aliases (alias, version, name) VALUES (?, ?, ?)"
    )
    rows = [("champion", 1, name) for name in ledger.models()]
    with closing(sqlite3.connect(settings.home / "mlflow.db")) as database, database:
        database.executemany(into, rows)
    # Their files and the rest of MLflow's entries were never made.
    monkeypatch.setattr(watching, "champion_mismatches", lambda version, home: [])
    return Watch(settings)


def test_many_champions_are_looked_at_in_turn(many, settings):
    every = Ledger(settings.database_url).models()
    looks = []
    for _ in range(-(-len(every) // watching.IN_TURN)):
        assert many.look() == []
        looks.append(many.models)
    assert {len(models) for models in looks} == {watching.IN_TURN}
    assert sorted({*itertools.chain(*looks)}) == every


def rounds(watch):
    """Look as `headrace up` does, unless all is quiet; returns what was found."""
    found, quiet = [], 0
    while quiet < 3:
        is_quiet = watch.is_quiet()
        quiet = quiet + 1 if is_quiet else 0
        found += [] if is_quiet else watch.look()
    return found


def change_mlflow(settings):
    with closing(sqlite3.connect(settings.home / "mlflow.db")) as database, database:
        database.execute("CREATE TABLE changed (number)")


def test_no_watch_is_quiet_before_each_champion_had_its_turn_after_a_change(
    many, settings, monkeypatch
):
    monkeypatch.setattr(watching, "CONFIRM_SECONDS", 0.0)
    assert rounds(many) == []
    last = Ledger(settings.database_url).models()[-1]

    def find(version, home):
        wrong = Mismatch.of(version, "mlflow", "run 1", "A metric was changed.")
        return [wrong] if version.model == last else []

    monkeypatch.setattr(watching, "champion_mismatches", find)
    assert many.is_quiet()
    change_mlflow(settings)
    assert [step.model for step in rounds(many)] == [last]
    assert many.is_quiet()


def test_models_without_a_champion_do_not_end_the_turn(many, settings, monkeypatch):
    ledger, looked = Ledger(settings.database_url), set()
    for number in range(2 * watching.IN_TURN):
        ledger.add_version(a_version(1, f"challenger-{number}"))

    def note(version, home):
        looked.add(version.model)
        return []

    monkeypatch.setattr(watching, "champion_mismatches", note)
    assert rounds(many) == []
    assert looked == ledger.champions().keys()


def test_a_model_that_appears_during_a_look_is_kept_by_the_next(
    many, settings, monkeypatch
):
    walk, ledger = Ledger.walk_chain, Ledger(settings.database_url)

    def walk_and_promote(own, *args, **values):
        report = walk(own, *args, **values)
        if "aaa" not in ledger.models():
            ledger.add_version(a_version(1, "aaa"))
            ledger.add_evidence(some_evidence(1, model="aaa"))
            ledger.promote("aaa", 1, who="ada", why="", expected_sequence=0)
        return report

    monkeypatch.setattr(Ledger, "walk_chain", walk_and_promote)
    assert many.look() == []
    assert "aaa" in many.models
    assert rounds(many) == []


def test_a_champion_with_something_new_is_looked_at_at_once(many, settings):
    ledger = Ledger(settings.database_url)
    many.look()
    last = ledger.models()[-1]
    assert last not in many.models
    ledger.add_version(a_version(2, last))
    many.look()
    assert last in many.models
    many.look()
    assert last not in many.models


def test_a_champion_whose_alias_was_moved_is_looked_at_at_once(many, settings):
    many.look()
    assert "model-20" not in many.models
    with closing(sqlite3.connect(settings.home / "mlflow.db")) as database, database:
        database.execute(
            "UPDATE registered_model_aliases SET version = 2 WHERE name = 'model-20'"
        )
    many.look()
    assert "model-20" in many.models


def test_a_champion_whose_file_was_changed_is_looked_at_at_once(
    many, settings, tmp_path, monkeypatch
):
    file = tmp_path / "model"

    def ask(version, home):
        if version.model == "model-00":
            digest_at(str(file))
        return []

    monkeypatch.setattr(watching, "champion_mismatches", ask)
    file.write_text("a")
    many.look()
    many.look()
    assert "model-00" not in many.models
    file.write_text("bc")
    many.look()
    assert "model-00" in many.models
