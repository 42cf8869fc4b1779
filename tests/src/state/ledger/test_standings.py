"""All models at once stand as each of them does alone."""

import pytest
from tests.src.state.ledger.conftest import (
    a_version,
    fill,
    promote,
    roll_back,
    run,
    some_evidence,
)

from headrace.errors import IntegrityError
from headrace.state.ledger import Approval, Ledger
from headrace.state.ledger.standings import standings


@pytest.fixture
def ledger(url):
    """Models of all kinds: without a champion, rolled back, forced, asked for."""
    made = Ledger(url)
    fill(made, 1, 2, 3)
    for number in (1, 2, 3):
        promote(made, number)
    roll_back(made)
    made.add_evidence(
        some_evidence(2, champion_version=3, overrides=("gates",), metrics={"a": 1.0})
    )
    made.add_version(a_version(1, "letters"))
    made.add_version(a_version(2, "words"))
    made.add_version(a_version(10, "words"))
    made.promote("words", 2, who="ada", why="because", expected_sequence=0, forced=True)
    ask = Approval(model="words", version=10, step=1, action="request", who="ada")
    made.add_approval(ask)
    return made


def test_each_stands_as_it_does_alone(ledger):
    found = standings(ledger)
    assert list(found) == ledger.models() == ["digits", "letters", "words"]
    for model, standing in found.items():
        champion = ledger.champion(model)
        number = champion.version.version if champion else None
        versions = ledger.versions(model)
        assert (standing.champion, standing.versions) == (number, len(versions))
        assert standing.newest == versions[-1].created
        assert list(standing.waiting) == ledger.waiting(model)
        if champion is not None:
            evidence = ledger.standing_evidence(model, number)
            metrics = dict(evidence.metrics) if evidence else None
            assert standing.metrics == metrics
            assert standing.since == champion.entry.when
            assert standing.task == champion.version.task
    assert [one.version for one in found["words"].waiting] == [10]


@pytest.mark.parametrize("edit", ["model = 'others'", "kind = 'x'", "sequence = 3"])
def test_that_the_row_of_a_champion_is_gone_is_said(ledger, url, edit):
    own = "kind = 'version' AND model = 'words' AND sequence = 2"
    run(url, f"UPDATE ledger_chain SET {edit} WHERE {own}")
    with pytest.raises(IntegrityError, match="version 2 of words, the champion, is go"):
        standings(ledger)
