"""Versions come back as they were added, and evidence is for exactly one."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from tests.src.state.ledger.conftest import a_version, fill, some_evidence

from headrace.errors import NotFoundError, UsageError
from headrace.records import GateResult
from headrace.state.ledger import Ledger, ledger_exists


def test_a_version_comes_back_as_it_was_added(ledger):
    added = ledger.add_version(a_version(3, details={"seed": 7, "device": ["cpu"]}))
    assert ledger.version("digits", 3) == added
    assert added == a_version(
        3, created=added.created, details={"seed": 7, "device": ["cpu"]}
    )


def test_a_version_is_dated_now_in_utc(ledger):
    created = datetime.fromisoformat(ledger.add_version(a_version(1)).created)
    assert created.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)


def test_the_same_training_again_gives_the_row_that_is_there(ledger):
    first = ledger.add_version(a_version(1))
    again = ledger.add_version(a_version(2, training="t1", run_id="another"))
    assert again == first
    assert ledger.versions("digits") == [first]


def test_another_file_of_the_same_training_is_another_version(ledger):
    first = ledger.add_version(a_version(1))
    other = ledger.add_version(a_version(2, training="t1", model_digest="e" * 64))
    assert ledger.versions("digits") == [first, other]
    assert ledger.find_training("digits", "t1") == other


def test_a_number_that_holds_another_training_is_refused(ledger):
    ledger.add_version(a_version(1))
    with pytest.raises(UsageError, match="another training as version 1 of digits"):
        ledger.add_version(a_version(1, training="other"))
    assert [row.training for row in ledger.versions("digits")] == ["t1"]


def test_two_models_may_hold_the_same_training_and_number(ledger):
    ledger.add_version(a_version(1))
    ledger.add_version(a_version(1, model="letters"))
    assert ledger.models() == ["digits", "letters"]
    assert [row.model for row in ledger.versions("letters")] == ["letters"]


@pytest.mark.parametrize("number", [2, 2**31, 10**20])
def test_a_version_that_there_is_not_is_told(ledger, number):
    fill(ledger, 1)
    with pytest.raises(NotFoundError, match=f"no version {number} of digits"):
        ledger.version("digits", number)
    with pytest.raises(NotFoundError, match="Known versions: 1"):
        ledger.find(f"digits/{number}")


def test_looking_for_a_ledger_creates_nothing(tmp_path):
    assert not ledger_exists(f"sqlite:///{tmp_path}/headrace.db")
    assert not [*tmp_path.iterdir()]


def test_versions_are_listed_by_number(ledger):
    fill(ledger, 10, 2, 1)
    assert [row.version for row in ledger.versions("digits")] == [1, 2, 10]


def test_a_training_is_found_by_its_fingerprint(ledger):
    added = ledger.add_version(a_version(1))
    assert ledger.find_training("digits", "t1") == added
    assert ledger.find_training("digits", "t2") is None
    assert ledger.find_training("letters", "t1") is None


def test_an_unknown_version_names_the_known_ones(ledger):
    fill(ledger, 1, 2)
    with pytest.raises(
        NotFoundError, match=r"no version 9 of digits.*versions: 1, 2\."
    ):
        ledger.version("digits", 9)


@pytest.mark.parametrize(("known", "named"), [((), "none"), ((1,), "digits")])
def test_an_unknown_model_names_the_known_ones(ledger, known, named):
    fill(ledger, *known)
    with pytest.raises(NotFoundError, match=f"1 of letters. Known models: {named}"):
        ledger.version("letters", 1)


def test_the_latest_evidence_is_the_last_for_exactly_that_version(ledger):
    fill(ledger, 1, 2)
    failed = ledger.add_evidence(some_evidence(1, passed=False, champion_version=2))
    assert ledger.latest_evidence("digits", 1) == failed
    assert failed == some_evidence(
        1, passed=False, champion_version=2, id=5, created=failed.created
    )
    assert ledger.latest_evidence("digits", 3) is None
    assert ledger.latest_evidence("letters", 1) is None


def test_the_same_evidence_again_is_not_added_twice(ledger):
    ledger.add_version(a_version(1))
    first = ledger.add_evidence(some_evidence(1, metrics={"loss": math.nan}))
    again = ledger.add_evidence(some_evidence(1, metrics={"loss": math.nan}))
    other = ledger.add_evidence(some_evidence(1, metrics={"loss": 0.5}))
    assert (first.id, again.id, other.id) == (1, 1, 2)


def test_evidence_is_found_by_opponent_and_law(ledger):
    ledger.add_version(a_version(1))
    kinds = [
        {"champion_version": None, "law_digest": "a"},
        {"champion_version": 2, "law_digest": "a", "passed": False},
        {"champion_version": 2, "law_digest": "b"},
        {"champion_version": 2, "law_digest": "b", "overrides": ("gates",)},
    ]
    added = [ledger.add_evidence(some_evidence(1, **kind)) for kind in kinds]
    assert ledger.evidence_of("digits", 1) == ledger.evidence_of("digits") == added
    assert ledger.evidence("digits", 3) == added[2]
    assert ledger.evidence("digits", 9) is None
    assert ledger.find_evidence("digits", 1, None) == added[0]
    assert ledger.find_evidence("digits", 1, 2) == added[2]
    assert ledger.find_evidence("digits", 1, 2, "a") == added[1]
    assert ledger.find_evidence("digits", 1, 3) is None
    assert ledger.latest_evidence("digits", 1) == added[3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_kept_as_none(ledger, value):
    ledger.add_version(a_version(1))
    gate = GateResult(name="finite", passed=False, value=value)
    added = ledger.add_evidence(
        some_evidence(1, passed=False, gates=(gate,), metrics={"loss": value})
    )
    assert added.metrics == {"loss": None}
    assert added.gates == (GateResult(name="finite", passed=False, value=None),)


def test_evidence_for_an_unknown_version_is_refused(ledger):
    with pytest.raises(NotFoundError, match="no version 1 of digits"):
        ledger.add_evidence(some_evidence(1))


def test_whether_there_is_a_ledger_is_asked_without_making_one(url):
    assert not ledger_exists(url)
    assert not ledger_exists(url)
    Ledger(url)
    assert ledger_exists(url)
