from __future__ import annotations

import math
import multiprocessing
import random
import re
import resource
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

import headrace.ledger
from headrace.errors import (
    DependencyError,
    HeadraceError,
    NotFoundError,
    PromotionError,
    UsageError,
)
from headrace.ledger import Entry, Evidence, Ledger, Version
from headrace.ledger.database import Database
from headrace.ledger.tables import ENTRIES
from headrace.records import GateResult

WHO = "ada@lab"


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder}/headrace.db"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(url_of(tmp_path))


def a_version(number: int, model: str = "digits", **changes: Any) -> Version:
    values: dict[str, Any] = {
        "model": model,
        "version": number,
        "training": f"t{number}",
        "run_id": f"run{number}",
        "model_uri": f"models:/m-{number}",
        "model_digest": "d" * 64,
        "weights_digest": "w" * 64,
        "snapshot_digest": "s" * 64,
        "created_by": WHO,
    }
    return Version(**values | changes)


def some_evidence(number: int, *, passed: bool = True, **changes: Any) -> Evidence:
    values: dict[str, Any] = {
        "model": "digits",
        "version": number,
        "passed": passed,
        "gates": (
            GateResult(name="accuracy", passed=passed, value=0.9, threshold=0.88),
        ),
        "metrics": {"test_accuracy": 0.9},
        "champion_version": None,
        "champion_sequence": 0,
        "snapshot_digest": "s" * 64,
        "run_id": f"run{number}",
    }
    return Evidence(**values | changes)


def fill(ledger: Ledger, *numbers: int) -> None:
    """Register versions, each with passing evidence."""
    for number in numbers:
        ledger.add_version(a_version(number))
        ledger.add_evidence(some_evidence(number))


def promote(ledger: Ledger, number: int, **changes: Any) -> Entry:
    values: dict[str, Any] = {"who": WHO, "why": ""}
    values["expected_sequence"] = ledger.sequence("digits")
    return ledger.promote("digits", number, **values | changes)


def roll_back(ledger: Ledger, **changes: Any) -> Entry:
    values: dict[str, Any] = {"who": WHO, "why": ""}
    values["expected_sequence"] = ledger.sequence("digits")
    return ledger.rollback("digits", **values | changes)


def champion(ledger: Ledger) -> int | None:
    found = ledger.champion("digits")
    return found.version.version if found else None


# Versions and evidence


def test_a_version_comes_back_as_it_was_added(ledger: Ledger) -> None:
    added = ledger.add_version(a_version(3, details={"seed": 7, "device": ["cpu"]}))
    assert ledger.version("digits", 3) == added
    assert added == a_version(
        3, created=added.created, details={"seed": 7, "device": ["cpu"]}
    )


def test_a_version_is_dated_now_in_utc(ledger: Ledger) -> None:
    created = datetime.fromisoformat(ledger.add_version(a_version(1)).created)
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)


def test_the_same_training_again_gives_the_row_that_is_there(ledger: Ledger) -> None:
    first = ledger.add_version(a_version(1))
    again = ledger.add_version(a_version(2, training="t1", run_id="another"))
    assert again == first
    assert ledger.versions("digits") == [first]


def test_a_number_that_holds_another_training_is_refused(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    with pytest.raises(UsageError, match="another training as version 1 of digits"):
        ledger.add_version(a_version(1, training="other"))
    assert [row.training for row in ledger.versions("digits")] == ["t1"]


def test_two_models_may_hold_the_same_training_and_number(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    ledger.add_version(a_version(1, model="letters"))
    assert ledger.models() == ["digits", "letters"]
    assert [row.model for row in ledger.versions("letters")] == ["letters"]


def test_versions_are_listed_by_number(ledger: Ledger) -> None:
    fill(ledger, 10, 2, 1)
    assert [row.version for row in ledger.versions("digits")] == [1, 2, 10]


def test_a_training_is_found_by_its_fingerprint(ledger: Ledger) -> None:
    added = ledger.add_version(a_version(1))
    assert ledger.find_training("digits", "t1") == added
    assert ledger.find_training("digits", "t2") is None
    assert ledger.find_training("letters", "t1") is None


def test_an_unknown_version_names_the_known_ones(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    with pytest.raises(
        NotFoundError, match=r"no version 9 of digits.*versions: 1, 2\."
    ):
        ledger.version("digits", 9)


@pytest.mark.parametrize(("known", "named"), [((), "none"), ((1,), "digits")])
def test_an_unknown_model_names_the_known_ones(
    ledger: Ledger, known: tuple[int, ...], named: str
) -> None:
    fill(ledger, *known)
    with pytest.raises(NotFoundError, match=f"1 of letters. Known models: {named}"):
        ledger.version("letters", 1)


def test_the_latest_evidence_is_the_last_for_exactly_that_version(
    ledger: Ledger,
) -> None:
    fill(ledger, 1, 2)
    failed = ledger.add_evidence(some_evidence(1, passed=False, champion_version=2))
    assert ledger.latest_evidence("digits", 1) == failed
    assert failed == some_evidence(
        1, passed=False, champion_version=2, id=3, created=failed.created
    )
    assert ledger.latest_evidence("digits", 3) is None
    assert ledger.latest_evidence("letters", 1) is None


def test_the_same_evidence_again_is_not_added_twice(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    first = ledger.add_evidence(some_evidence(1, metrics={"loss": math.nan}))
    again = ledger.add_evidence(some_evidence(1, metrics={"loss": math.nan}))
    other = ledger.add_evidence(some_evidence(1, metrics={"loss": 0.5}))
    assert (first.id, again.id, other.id) == (1, 1, 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_kept_as_none(
    ledger: Ledger, value: float
) -> None:
    ledger.add_version(a_version(1))
    gate = GateResult(name="finite", passed=False, value=value)
    added = ledger.add_evidence(
        some_evidence(1, passed=False, gates=(gate,), metrics={"loss": value})
    )
    assert added.metrics == {"loss": None}
    assert added.gates == (GateResult(name="finite", passed=False, value=None),)


def test_evidence_for_an_unknown_version_is_refused(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError, match="no version 1 of digits"):
        ledger.add_evidence(some_evidence(1))


# Promotion


def test_an_empty_ledger_has_no_champion(ledger: Ledger) -> None:
    fill(ledger, 1)
    assert ledger.champion("digits") is None
    assert ledger.sequence("digits") == 0
    assert ledger.history("digits") == []


def test_a_promotion_is_the_next_entry_and_names_the_champion(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    first = promote(ledger, 1, why="first")
    second = promote(ledger, 2, why="better", evidence_id=2)
    assert first == Entry(
        model="digits",
        sequence=1,
        action="promote",
        from_version=None,
        to_version=1,
        who=WHO,
        when=first.when,
        why="first",
        evidence_id=1,
    )
    assert (second.sequence, second.from_version, second.to_version) == (2, 1, 2)
    assert second.evidence_id == 2
    found = ledger.champion("digits")
    assert found is not None
    assert found.version == ledger.version("digits", 2)
    assert found.entry == second
    assert ledger.history("digits") == [first, second]
    assert ledger.history("digits", after=1) == [second]


def test_promoting_the_champion_again_changes_nothing(ledger: Ledger) -> None:
    fill(ledger, 1)
    entry = promote(ledger, 1, who="bob@lab")
    assert promote(ledger, 1) == entry
    assert promote(ledger, 1, expected_sequence=0) == entry
    assert ledger.history("digits") == [entry]


def test_each_model_counts_its_own_entries(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    ledger.add_version(a_version(1, model="letters"))
    ledger.add_evidence(some_evidence(1, model="letters"))
    promote(ledger, 1)
    promote(ledger, 2)
    entry = ledger.promote("letters", 1, who=WHO, why="", expected_sequence=0)
    assert (entry.sequence, ledger.sequence("digits")) == (1, 2)
    assert champion(ledger) == 2


def test_an_unknown_version_is_not_promoted(ledger: Ledger) -> None:
    fill(ledger, 1)
    with pytest.raises(NotFoundError, match=r"no version 2 of digits.*versions: 1\."):
        promote(ledger, 2)


def test_a_version_without_evidence_is_not_promoted(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    with pytest.raises(PromotionError, match=r"no evidence for version 1.*--force"):
        promote(ledger, 1)
    assert ledger.sequence("digits") == 0


def test_passing_evidence_for_another_version_does_not_count(ledger: Ledger) -> None:
    fill(ledger, 1)
    ledger.add_version(a_version(2))
    with pytest.raises(PromotionError, match="no evidence for version 2 of digits"):
        promote(ledger, 2)
    with pytest.raises(PromotionError, match="Evidence 1 is not about version 2"):
        promote(ledger, 2, evidence_id=1, forced=True, why="try")


def test_only_the_latest_evidence_counts(ledger: Ledger) -> None:
    fill(ledger, 1)
    ledger.add_evidence(some_evidence(1, passed=False))
    with pytest.raises(PromotionError, match="did not pass its gates: accuracy"):
        promote(ledger, 1, evidence_id=1)
    ledger.add_evidence(some_evidence(1))
    assert promote(ledger, 1).evidence_id == 3


def test_evidence_without_gates_says_so(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, passed=False, gates=()))
    with pytest.raises(PromotionError, match="its gates: there were none"):
        promote(ledger, 1)


def test_a_forced_promotion_is_recorded_as_such(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    entry = promote(ledger, 1, forced=True, why="the demo is today")
    assert (entry.forced, entry.why) == (True, "the demo is today")
    assert entry.evidence_id is None
    assert champion(ledger) == 1


def test_a_forced_promotion_names_the_evidence_it_overrules(ledger: Ledger) -> None:
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, passed=False))
    assert promote(ledger, 1, forced=True, why="known").evidence_id == 1


@pytest.mark.parametrize("why", ["", "  \n"])
def test_a_forced_promotion_needs_a_reason(ledger: Ledger, why: str) -> None:
    fill(ledger, 1)
    with pytest.raises(UsageError, match=r"needs a reason.*--reason"):
        promote(ledger, 1, forced=True, why=why)


def test_a_stale_promotion_hears_who_came_first(ledger: Ledger) -> None:
    fill(ledger, 1, 2, 3)
    promote(ledger, 1, who="bob@lab")
    promote(ledger, 2, who="eve@lab")
    with pytest.raises(
        PromotionError,
        match=r"decided on entry 0, but "
        r"bob@lab promoted version 1 at 20.* \(entry 1\); "
        r"eve@lab promoted version 2 at 20.* \(entry 2\)\. .*decide again",
    ):
        promote(ledger, 3, expected_sequence=0)
    assert ledger.sequence("digits") == 2


def test_a_promotion_decided_on_a_later_entry_leaves_no_gap(ledger: Ledger) -> None:
    fill(ledger, 1)
    with pytest.raises(PromotionError, match="on entry 5, but the last entry is 0"):
        promote(ledger, 1, expected_sequence=5)
    assert ledger.history("digits") == []


# Rollback


def test_a_rollback_walks_back_one_promotion_at_a_time(ledger: Ledger) -> None:
    fill(ledger, 1, 2, 3)
    for number in (1, 2, 3):
        promote(ledger, number)
    assert ledger.rollback_target("digits").version == 2
    first = roll_back(ledger, why="slow")
    assert first == Entry(
        model="digits",
        sequence=4,
        action="rollback",
        from_version=3,
        to_version=2,
        who=WHO,
        when=first.when,
        why="slow",
    )
    assert ledger.rollback_target("digits").version == 1
    assert roll_back(ledger).to_version == 1
    assert champion(ledger) == 1
    with pytest.raises(
        PromotionError,
        match="nothing to roll back to: digits has had no champion before 1",
    ):
        roll_back(ledger)
    with pytest.raises(PromotionError, match="nothing to roll back to"):
        ledger.rollback_target("digits")
    assert ledger.sequence("digits") == 5


def test_a_rollback_returns_to_what_was_champion_before_the_promotion(
    ledger: Ledger,
) -> None:
    fill(ledger, 1, 2, 3, 4)
    for number in (1, 2, 3):
        promote(ledger, number)
    roll_back(ledger)
    promote(ledger, 4)
    assert [roll_back(ledger).to_version for _ in range(2)] == [2, 1]


def test_a_version_promoted_twice_is_walked_back_twice(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    for number in (1, 2, 1):
        promote(ledger, number)
    assert [roll_back(ledger).to_version for _ in range(2)] == [2, 1]


def test_without_a_champion_there_is_nothing_to_roll_back_to(ledger: Ledger) -> None:
    fill(ledger, 1)
    with pytest.raises(PromotionError, match="digits has had no champion"):
        roll_back(ledger)
    with pytest.raises(PromotionError, match="letters has had no champion"):
        ledger.rollback_target("letters")


def test_a_stale_rollback_hears_who_came_first(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    promote(ledger, 1)
    promote(ledger, 2)
    roll_back(ledger, who="eve@lab")
    with pytest.raises(
        PromotionError,
        match=r"rollback of digits lost.*eve@lab rolled back from version 2 to 1",
    ):
        roll_back(ledger, expected_sequence=2)


def test_a_rolled_back_version_is_known_until_it_is_promoted_again(
    ledger: Ledger,
) -> None:
    fill(ledger, 1, 2)
    promote(ledger, 1)
    promote(ledger, 2)
    assert ledger.was_rolled_back("digits", 2) is None
    entry = roll_back(ledger)
    assert ledger.was_rolled_back("digits", 2) == entry
    assert ledger.was_rolled_back("digits", 1) is None
    promote(ledger, 2)
    assert ledger.was_rolled_back("digits", 2) is None
    again = roll_back(ledger)
    assert ledger.was_rolled_back("digits", 2) == again


# Races


def won(attempt: Callable[[], Entry], starting: threading.Barrier) -> bool:
    """Whether the attempt won; a loser must have been told that it lost."""
    starting.wait(60)
    try:
        attempt()
    except PromotionError as error:
        if "lost: it was decided on entry" not in error.message:
            raise
        return False
    return True


def assert_is_a_line(history: list[Entry]) -> None:
    assert [entry.sequence for entry in history] == list(range(1, len(history) + 1))
    before = [None, *(entry.to_version for entry in history)]
    assert [entry.from_version for entry in history] == before[:-1]


def test_two_promotions_at_once_have_one_winner_1000_times(ledger: Ledger) -> None:
    fill(ledger, 1, 2, 3, 4)
    starting = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for sequence in range(1000):
            pair = (1, 2) if sequence % 2 else (3, 4)
            attempts = [
                partial(promote, ledger, number, expected_sequence=sequence)
                for number in pair
            ]
            results = list(pool.map(won, attempts, [starting] * 2))
            assert sorted(results) == [False, True]
            assert champion(ledger) == pair[results.index(True)]
    assert ledger.sequence("digits") == 1000
    assert_is_a_line(ledger.history("digits"))


def test_two_promotions_of_one_version_at_once_are_one(ledger: Ledger) -> None:
    fill(ledger, 1, 2)
    starting = threading.Barrier(2)

    def attempt(sequence: int) -> Entry:
        starting.wait(60)
        return promote(ledger, sequence % 2 + 1, expected_sequence=sequence)

    with ThreadPoolExecutor(2) as pool:
        for sequence in range(20):
            first, second = pool.map(attempt, [sequence, sequence])
            assert first == second
    assert ledger.sequence("digits") == 20


def test_a_promotion_and_a_rollback_at_once_have_one_winner(ledger: Ledger) -> None:
    fill(ledger, 1, 2, 3, 4)
    promote(ledger, 1)
    starting = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        for turn in range(25):
            promote(ledger, turn % 2 + 2)
            last = ledger.sequence("digits")
            attempts = [
                partial(promote, ledger, 4, expected_sequence=last),
                partial(roll_back, ledger, expected_sequence=last),
            ]
            results = list(pool.map(won, attempts, [starting] * 2))
            assert sorted(results) == [False, True]
            action = ledger.history("digits", after=last)[0].action
            assert action == ("promote" if results[0] else "rollback")
            if results[0]:
                roll_back(ledger)
    assert_is_a_line(ledger.history("digits"))


def _open_and_race(url: str, rank: int, rounds: int, starting: Any, wins: Any) -> None:
    starting.wait(60)
    ledger = Ledger(url)
    fill(ledger, *range(1, 9))
    for sequence in range(rounds):
        number = 2 * rank + sequence % 2 + 1
        attempt = partial(promote, ledger, number, expected_sequence=sequence)
        if won(attempt, starting):
            wins.put((sequence + 1, number))
    starting.wait(60)


def test_processes_that_open_a_new_ledger_and_race_have_one_winner_each_round(
    tmp_path: Path,
) -> None:
    rounds, context = 20, multiprocessing.get_context("spawn")
    starting, wins = context.Barrier(4), context.Queue()
    workers = [
        context.Process(
            target=_open_and_race, args=(url_of(tmp_path), rank, rounds, starting, wins)
        )
        for rank in range(4)
    ]
    for worker in workers:
        worker.start()
    winners = sorted(wins.get(timeout=60) for _ in range(rounds))
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert wins.empty()
    history = Ledger(url_of(tmp_path)).history("digits")
    assert [(entry.sequence, entry.to_version) for entry in history] == winners
    assert_is_a_line(history)


def test_threads_that_open_a_new_ledger_at_once_make_one(tmp_path: Path) -> None:
    starting = threading.Barrier(8)

    def attempt(number: int) -> Version:
        starting.wait(60)
        return Ledger(url_of(tmp_path)).add_version(a_version(number))

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(attempt, range(1, 9)))
    assert Ledger(url_of(tmp_path)).versions("digits") == added


# The rules, once more, in a few lines


class Model:
    """What a ledger of versions 1..4 (passing), 5 (failing), 6 (unproved) does."""

    def __init__(self) -> None:
        self.champions: list[int] = []
        self.sequence = 0

    def promote(self, number: int, forced: bool, expected: int) -> bool:
        if self.champions[-1:] == [number]:
            return True
        allowed = (forced or number < 5) and expected == self.sequence
        if allowed:
            self.champions.append(number)
            self.sequence += 1
        return allowed

    def roll_back(self, expected: int) -> bool:
        allowed = len(self.champions) > 1 and expected == self.sequence
        if allowed:
            self.champions.pop()
            self.sequence += 1
        return allowed


def test_300_random_operations_agree_with_the_rules(ledger: Ledger) -> None:
    fill(ledger, 1, 2, 3, 4)
    ledger.add_version(a_version(5))
    ledger.add_evidence(some_evidence(5, passed=False))
    ledger.add_version(a_version(6))
    model, chance = Model(), random.Random(0)
    seen = set()
    for _ in range(300):
        expected = max(0, model.sequence - (chance.random() < 0.1))
        if chance.random() < 0.6:
            number, forced = chance.randint(1, 6), chance.random() < 0.2
            action = "promote"
            allowed = model.promote(number, forced, expected)
            attempt = partial(promote, ledger, number, forced=forced, why="model")
        else:
            action = "rollback"
            allowed = model.roll_back(expected)
            attempt = partial(roll_back, ledger)
        try:
            attempt(expected_sequence=expected)
            answered = True
        except PromotionError:
            answered = False
        assert answered == allowed
        assert champion(ledger) == (model.champions[-1] if model.champions else None)
        assert ledger.sequence("digits") == model.sequence
        seen.add((action, allowed))
    assert len(seen) == 4
    assert_is_a_line(ledger.history("digits"))


# The database


def test_the_password_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(HeadraceError) as caught:
        Ledger("mysql://user:secret@host/name")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user@host/name", "names 'mysql'; expected one of sqlite, "),
        ("postgresql+asyncpg://host/name", r"names 'postgresql\+asyncpg'; expected"),
        ("headrace.db", "is not a database URL.*sqlite:////path"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
    ],
)
def test_another_kind_of_database_is_refused(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Ledger(url)


def test_a_missing_driver_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with pytest.raises(UsageError, match="needs the Python package 'psycopg2'"):
        Ledger("postgresql+psycopg2://host/name")


def test_a_ledger_of_another_format_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        connection.execute("UPDATE ledger_format SET format = 2")
    connection.close()
    with pytest.raises(UsageError, match="has format 2; this version reads format 1"):
        Ledger(url_of(tmp_path))


def test_a_database_with_tables_of_others_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        connection.execute("CREATE TABLE versions (name TEXT)")
    connection.close()
    with pytest.raises(UsageError, match="has a table 'versions' already"):
        Ledger(url_of(tmp_path))


def test_a_file_that_is_not_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "headrace.db").write_bytes(b"not a database, " * 64)
    with pytest.raises(UsageError, match="serve as ledger: file is not a database"):
        Ledger(url_of(tmp_path))


def test_an_open_ledger_is_kept_when_opened_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    fill(ledger, 1)
    promote(ledger, 1)
    again = Ledger(url_of(tmp_path))
    assert again.history("digits") == ledger.history("digits")


def test_sqlite_writes_ahead_and_enforces_foreign_keys(
    ledger: Ledger, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "headrace.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    entry = Entry(
        model="digits",
        sequence=1,
        action="promote",
        from_version=None,
        to_version=1,
        who=WHO,
        why="",
    )
    with pytest.raises(sqlalchemy.exc.IntegrityError, match="FOREIGN KEY"):
        Database(url_of(tmp_path), 30.0).add(ENTRIES, entry)


def test_a_locked_database_is_safe_to_retry(ledger: Ledger, tmp_path: Path) -> None:
    impatient = Ledger(url_of(tmp_path), timeout_seconds=0.1)
    fill(impatient, 1)
    other = sqlite3.connect(tmp_path / "headrace.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(
        DependencyError, match=r"headrace.db did not answer: database is locked.*retry"
    ):
        promote(impatient, 1)
    other.execute("ROLLBACK")
    other.close()
    assert promote(impatient, 1).sequence == 1


def test_a_new_database_that_stays_locked_is_safe_to_retry(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "headrace.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(DependencyError, match=r"database is locked.*safe to retry"):
        Ledger(url_of(tmp_path), timeout_seconds=0.1)
    other.execute("ROLLBACK")
    other.close()
    assert Ledger(url_of(tmp_path)).models() == []


def test_a_folder_that_is_missing_is_safe_to_retry(tmp_path: Path) -> None:
    with pytest.raises(DependencyError, match="unable to open database file"):
        Ledger(url_of(tmp_path / "missing"))


def test_a_read_only_database_can_be_read_and_not_written(
    ledger: Ledger, tmp_path: Path
) -> None:
    fill(ledger, 1)
    frozen = Ledger(f"sqlite:///file:{tmp_path}/headrace.db?mode=ro&uri=true")
    assert frozen.models() == ["digits"]
    with pytest.raises(DependencyError, match="attempt to write a readonly database"):
        promote(frozen, 1)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow past 64 KiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_safe_to_retry_and_leaves_nothing_half_written(
    ledger: Ledger,
) -> None:
    with pytest.raises(DependencyError, match=r"did not answer: .*safe to retry"):
        for number in range(1, 2000):
            ledger.add_version(a_version(number, details={"text": "x" * 500}))
    assert ledger.versions("digits")[-1].details == {"text": "x" * 500}


def test_the_code_never_changes_or_removes_a_row() -> None:
    folder = Path(headrace.ledger.__file__).parent
    code = "\n".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    assert "sa.insert(" in code
    changed = re.findall(r"sa\.(?:update|delete)\((\w*)", code)
    assert set(changed) == {"LEASES"}, "who is at work, which is no history"
    assert not re.search(r"\b(UPDATE|DELETE)\b", code)
