"""What a look of the watch costs where the ledger has a long history."""

import pytest
import sqlalchemy as sa
from tests.attacks.test_ledger import setting, without_triggers

from headrace.evidence.watch import Watch
from headrace.state.ledger import Ledger


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
