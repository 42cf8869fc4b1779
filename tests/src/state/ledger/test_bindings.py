"""A version may get other files; its row stays, and the last binding counts."""

from __future__ import annotations

from typing import Any

from tests.src.state.ledger.conftest import a_version, promote, some_evidence

from headrace.state.ledger import Ledger, Version, ledger_exists


def bind(ledger: Ledger, version: Version, digest: str, **changes: Any) -> Version:
    values: dict[str, Any] = {
        "run_id": version.run_id,
        "model_uri": version.model_uri,
        "model_digest": digest,
        "golden_digest": "g" * 64,
        "who": "ada@lab",
        "why": "its files were lost",
    }
    return ledger.bind(version, **values | changes)


def test_a_bound_version_has_the_files_of_its_last_binding(url: str) -> None:
    ledger = Ledger(url)
    first = ledger.add_version(a_version(1, details={"seed": 7, "places": {"a": "b"}}))
    ledger.add_version(a_version(2))
    once = bind(ledger, first, "e" * 64, details={"places": {"a": "c"}})
    twice = bind(ledger, once, "f" * 64, run_id="run9", model_uri="models:/m-9")
    assert ledger.version("digits", 1) == twice
    assert (twice.model_digest, twice.run_id) == ("f" * 64, "run9")
    assert twice.weights_digest == first.weights_digest
    assert twice.golden_digest == "g" * 64
    assert twice.details["seed"] == 7
    assert not first.is_bound_anew
    assert twice.is_bound_anew
    assert [v.model_digest for v in ledger.versions("digits")] == ["f" * 64, "d" * 64]
    assert ledger.find_training("digits", "t1") == twice
    assert [row.step for row in ledger.bindings("digits")] == [1, 2]


def test_of_two_bindings_decided_at_once_the_first_counts(url: str) -> None:
    ledger = Ledger(url)
    version = ledger.add_version(a_version(1))
    first = bind(ledger, version, "e" * 64)
    assert bind(ledger, version, "f" * 64) == first
    assert [row.model_digest for row in ledger.bindings("digits")] == ["e" * 64]


def test_the_champion_is_what_it_is_bound_to(ledger: Ledger) -> None:
    version = ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1))
    promote(ledger, 1)
    bind(ledger, version, "e" * 64)
    champion = ledger.champion("digits")
    assert champion is not None
    assert champion.version.model_digest == "e" * 64


def test_whether_there_is_a_ledger_is_asked_without_making_one(url: str) -> None:
    assert not ledger_exists(url)
    assert not ledger_exists(url)
    Ledger(url)
    assert ledger_exists(url)
