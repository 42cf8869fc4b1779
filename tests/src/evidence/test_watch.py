"""What a look of the watch costs where the ledger has a long history."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
import sqlalchemy as sa

from headrace.evidence.watch import Watch
from headrace.settings import Settings
from headrace.state.ledger import Ledger


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Counts what SQLite does, in hundreds of its instructions."""
    done = [0]

    def count() -> int:
        done[0] += 1
        return 0

    def begin(connection: sqlite3.Connection, _record: Any) -> None:
        connection.set_progress_handler(count, 100)

    sa.event.listen(sa.Engine, "connect", begin)
    yield done
    sa.event.remove(sa.Engine, "connect", begin)


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the watch walks the whole chain of the ledger at each look",
)
def test_a_look_reads_only_what_is_new(settings: Settings, work: list[int]) -> None:
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
