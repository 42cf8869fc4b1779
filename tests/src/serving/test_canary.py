"""The canary: which version it is, what it gets, and when it ends."""

import json
import logging
import stat
import time

import numpy as np
import pytest
from tests.src.serving.asked import an_answer
from tests.src.serving.conftest import IMAGE, a_row
from tests.src.state.ledger.conftest import some_evidence

from headrace.errors import NotFoundError, UsageError
from headrace.records import GateResult
from headrace.serving.canary import (
    _RECENT,
    MOST_FAILURES,
    Canary,
    CanaryWanted,
)
from headrace.serving.tally import WARM_UP
from headrace.state.ledger import Ledger

ITEMS = an_answer().items
A_NINE = np.array([[0.1, 0.1, 0.8]], np.float32)


def a_canary(home, share=0.5, version=3):
    return Canary("digits", version, share, home)


def ask(canary, count, *, outputs=None, start=0):
    """Answer requests as the server does; how many went to the canary."""
    taken = 0
    for number in range(start, start + count):
        name = f"r{number}"
        is_canary = canary.takes(name)
        taken += is_canary
        own = {"version": 3, "role": "canary"} if is_canary else {}
        answer = an_answer(name, seed=number, **own)
        if is_canary and outputs is not None:
            answer = answer._replace(outputs=outputs(number))
        canary(answer)
    return taken


def marker_of(home, version=3):
    return home / "canaries" / f"digits-{version}.json"


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("text", "share", "name"),
    [
        ("5%", 0.05, ""),
        ("0.5%", 0.005, ""),
        (" 99% ", 0.99, ""),
        ("digits:5%", 0.05, "digits"),
        ("digits/3:10%", 0.1, "digits/3"),
    ],
)
def test_a_share_may_name_a_version(text, share, name):
    wanted = CanaryWanted.parse(text)
    assert wanted.share == pytest.approx(share)
    assert wanted.name == name


@pytest.mark.parametrize("text", ["", "5", "0.05", "five%", "-5%", "digits/3", ":5%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(UsageError, match=r"is no share of requests.*--canary 5%"):
        CanaryWanted.parse(text)


@pytest.mark.parametrize("text", ["0%", "100%", "250%", "digits:0%"])
def test_none_and_all_are_no_canary(text):
    with pytest.raises(UsageError, match=r"not between 0% and 100%"):
        CanaryWanted.parse(text)


@pytest.fixture
def ledger(tmp_path):
    """Of digits with versions 1 to 3, all fit to answer, and of messages version 1."""
    ledger = Ledger(f"sqlite:///{tmp_path}/headrace.db")
    for model, number in [("digits", 1), ("digits", 2), ("digits", 3), ("messages", 1)]:
        ledger.add_version(a_row(model, number, IMAGE))
        ledger.add_evidence(some_evidence(number, model=model))
    return ledger


def judged(ledger, number, kind, *, passed, **more):
    """Add another version of digits with one gate."""
    gate = GateResult(name=f"by {kind}", passed=passed, kind=kind)
    ledger.add_version(a_row("digits", number, IMAGE))
    ledger.add_evidence(some_evidence(number, passed=passed, gates=(gate,), **more))


def found(text, ledger):
    current = {"digits": 2, "messages": 1}
    rows = CanaryWanted.parse(text).find(current, ledger)
    return [f"{row.model}/{row.version}" for row in rows]


def test_without_a_name_it_is_the_newest_version_after_what_answers(ledger):
    assert found("5%", ledger) == ["digits/3"]
    assert found("digits:5%", ledger) == ["digits/3"]
    assert found("digits/1:5%", ledger) == ["digits/1"]


def test_without_a_name_it_is_fit_to_answer(ledger):
    judged(ledger, 4, "champion", passed=False)
    judged(ledger, 5, "absolute", passed=False)
    judged(ledger, 6, "absolute", passed=True, overrides=("gates",))
    ledger.add_version(a_row("digits", 7, IMAGE))
    assert found("digits:5%", ledger) == [
        "digits/4"
    ]  # as good as the champion, perhaps
    assert found("digits/5:5%", ledger) == ["digits/5"]
    current = {"digits": 4}
    why = "digits/5 failed by absolute; digits/6 is an experiment; digits/7 was not"
    with pytest.raises(UsageError, match=f"after digits/4 can be a canary: {why}"):
        CanaryWanted.parse("5%").find(current, ledger)


def test_without_a_name_it_is_none_that_was_rolled_back(ledger):
    who = {"who": "ada", "why": "a test"}
    for number in (2, 3):
        now = ledger.sequence("digits")
        ledger.promote("digits", number, forced=True, expected_sequence=now, **who)
    ledger.rollback("digits", expected_sequence=ledger.sequence("digits"), **who)
    with pytest.raises(UsageError, match=r"a canary: digits/3 was rolled back"):
        found("digits:5%", ledger)


def test_a_canary_that_there_is_not(ledger):
    with pytest.raises(UsageError, match=r"There is no newer version than messages/1"):
        found("messages:5%", ledger)
    with pytest.raises(UsageError, match=r"names 'sounds'; served are digits, mess"):
        found("sounds:5%", ledger)
    with pytest.raises(UsageError, match=r"Version 2 of digits answers already"):
        found("digits/2:5%", ledger)
    with pytest.raises(NotFoundError, match=r"There is no version 9 of digits"):
        found("digits/9:5%", ledger)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_it_gets_its_share(tmp_path, share):
    canary, count = a_canary(tmp_path, share), 20_000
    taken = sum(canary.takes(f"r{number}") for number in range(count))
    assert abs(taken / count - share) < 4 * (share * (1 - share) / count) ** 0.5
    again = a_canary(tmp_path, share)
    ids = [f"r{number}" for number in range(500)]
    assert [again.takes(i) for i in ids] == [
        a_canary(tmp_path, share).takes(i) for i in ids
    ]


def test_a_canary_that_answers_alike_goes_on(tmp_path):
    canary = a_canary(tmp_path)
    taken = ask(canary, 5000)
    assert canary.ended == ""
    assert canary.answered == taken
    assert canary.log_evidence < canary.threshold
    assert canary.status() == {"version": 3, "share": 0.5}


def test_a_canary_that_answers_otherwise_is_ended_and_stays_so(tmp_path, caplog):
    canary, calls = a_canary(tmp_path), []
    canary.on_end = lambda: calls.append(1)
    with caplog.at_level(logging.WARNING):
        ask(canary, 5000, outputs=lambda _: A_NINE)
    assert canary.ended.startswith("its answers differ: the answer ")
    assert calls == [1]
    assert not any(canary.takes(f"x{number}") for number in range(100))
    assert caplog.text.count("gets no more requests") == 1
    assert canary.status()["ended"] == canary.ended
    marker = marker_of(tmp_path)
    wait_for(marker)
    assert stat.S_IMODE(marker.parent.stat().st_mode) == 0o700
    later = a_canary(tmp_path)
    assert later.ended.startswith(f"{canary.ended} (ended at ")
    assert f"delete {marker} to start it again" in caplog.text
    assert str(tmp_path) not in str(later.status())
    assert not any(later.takes(f"x{number}") for number in range(100))
    assert a_canary(tmp_path, version=4).ended == ""
    marker.unlink()
    assert a_canary(tmp_path).ended == ""


def test_failures_end_it(tmp_path):
    canary = a_canary(tmp_path)
    for number in range(MOST_FAILURES):
        assert canary.ended == ""
        canary.failed(f"r{number}", ITEMS, "its process ended")
    assert canary.ended == "it failed 5 times; the last time, its process ended"
    canary.failed("late", ITEMS, "its process ended")
    wait_for(marker_of(tmp_path))
    assert json.loads(marker_of(tmp_path).read_text())["reason"] == canary.ended


def test_an_answer_that_is_not_finite_is_a_failure(tmp_path):
    canary = a_canary(tmp_path)
    canary.check(A_NINE)
    for value in (np.nan, np.inf):
        with pytest.raises(FloatingPointError, match="of digits/3 is not finite"):
            canary.check(np.array([[0.0, value]], np.float32))


def test_being_busy_is_no_failure_but_is_compared(tmp_path):
    canary = a_canary(tmp_path)
    for number in range(WARM_UP * 6):
        name = f"r{number}"
        if canary.takes(name):
            canary.was_busy(name, an_answer(seed=number).items)
        else:
            canary(an_answer(name, seed=number))
    canary.review()
    assert canary.busy > WARM_UP
    assert canary.failures == 0
    assert canary.ended.startswith("its answers differ: another answer in 100.0%")


def test_a_request_that_names_a_version_is_not_compared(tmp_path):
    canary = a_canary(tmp_path)
    ask(canary, 1000)
    before = list(canary._tally.requests)
    for number in range(1000):
        canary(an_answer(f"named{number}", outputs=A_NINE))
        canary(an_answer(f"shadow{number}", outputs=A_NINE, role="shadow"))
    assert canary._tally.requests == before


def test_a_request_that_is_sent_again_is_compared_once(tmp_path):
    canary = a_canary(tmp_path)
    ask(canary, 1000)
    before = list(canary._tally.requests)
    ask(canary, 1000)
    assert canary._tally.requests == before


def test_a_probe_that_sends_one_item_shows_nothing(tmp_path):
    canary = a_canary(tmp_path)
    ask(canary, 1000)
    before = list(canary._tally.requests)
    for number in range(2000):
        name = f"probe{number}"
        own = {"outputs": A_NINE, "role": "canary"} if canary.takes(name) else {}
        canary(an_answer(name, items=np.zeros((1, 8, 8, 1), np.uint8), **own))
    assert sum(canary._tally.requests) == sum(before) + 1
    assert canary.ended == ""


@pytest.mark.system
def test_memory_is_bounded(tmp_path):
    canary = a_canary(tmp_path)
    for number in range(2 * _RECENT):
        canary.takes(f"r{number}")  # and each request is refused, for its body
    assert len(canary._recent) <= _RECENT
    assert len(canary._pending) <= _RECENT + 1


def test_the_comparison_begins_anew_with_another_champion(tmp_path):
    canary = a_canary(tmp_path)
    ask(canary, 1000)
    assert canary._tally._names
    canary.champion_is(1)
    assert not canary._tally._names
    assert canary.ended == ""
    ask(canary, 1000, start=1000)
    canary.champion_is(1)
    assert canary._tally._names, "its engine may be another one now"


@pytest.mark.parametrize(
    ("champion", "reason"),
    [(3, "it is the champion"), (4, "version 4 is the champion")],
)
def test_it_ends_when_it_or_a_newer_version_is_promoted(tmp_path, champion, reason):
    canary = a_canary(tmp_path)
    canary.champion_is(champion)
    assert canary.ended == reason
    assert canary.status() == {}
    assert not marker_of(tmp_path).exists(), "it may be a canary again"


def test_a_marker_that_cannot_be_read_keeps_it_ended(tmp_path):
    marker_of(tmp_path).parent.mkdir()
    marker_of(tmp_path).write_text("{")
    assert a_canary(tmp_path).ended.startswith("the reason cannot be read (ended at an")


def test_an_end_that_cannot_be_written_is_logged(tmp_path, caplog):
    (tmp_path / "canaries").write_text("no folder")
    canary = a_canary(tmp_path)
    with caplog.at_level(logging.WARNING):
        canary.end("a test")
        deadline = time.monotonic() + 30
        while "cannot be written" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert canary.ended == "a test"
