"""Of several that decide at once one wins, and the others hear of it."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from tests.src.state.ledger.conftest import (
    a_version,
    assert_is_a_line,
    champion,
    fill,
    promote,
    roll_back,
    url_of,
)

from headrace.errors import PromotionError
from headrace.state.ledger import Ledger

pytestmark = pytest.mark.system


def won(attempt, starting):
    """Whether the attempt won; a loser must have been told that it lost."""
    starting.wait(600)
    try:
        attempt()
    except PromotionError as error:
        if "was rejected: it was decided on entry" not in error.message:
            raise
        return False
    return True


def test_two_promotions_at_once_have_one_winner_1000_times(ledger):
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


def test_two_promotions_of_one_version_at_once_are_one(ledger):
    fill(ledger, 1, 2)
    starting = threading.Barrier(2)

    def attempt(sequence):
        starting.wait(600)
        return promote(ledger, sequence % 2 + 1, expected_sequence=sequence)

    with ThreadPoolExecutor(2) as pool:
        for sequence in range(20):
            first, second = pool.map(attempt, [sequence, sequence])
            assert first == second
    assert ledger.sequence("digits") == 20


def test_a_promotion_and_a_rollback_at_once_have_one_winner(ledger):
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


def _open_and_race(url, rank, rounds, starting, wins):
    starting.wait(600)
    ledger = Ledger(url)
    fill(ledger, *range(1, 9))
    for sequence in range(rounds):
        number = 2 * rank + sequence % 2 + 1
        attempt = partial(promote, ledger, number, expected_sequence=sequence)
        if won(attempt, starting):
            wins.put((sequence + 1, number))
    starting.wait(600)


def test_processes_that_open_a_new_ledger_and_race_have_one_winner_each_round(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(Path(__file__).parents[4])  # they import this module
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
    winners = sorted(wins.get(timeout=600) for _ in range(rounds))
    for worker in workers:
        worker.join(600)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert wins.empty()
    history = Ledger(url_of(tmp_path)).history("digits")
    assert [(entry.sequence, entry.to_version) for entry in history] == winners
    assert_is_a_line(history)


def test_threads_that_open_a_new_ledger_at_once_make_one(tmp_path):
    starting = threading.Barrier(8)

    def attempt(number):
        starting.wait(600)
        return Ledger(url_of(tmp_path)).add_version(a_version(number))

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(attempt, range(1, 9)))
    assert Ledger(url_of(tmp_path)).versions("digits") == added
