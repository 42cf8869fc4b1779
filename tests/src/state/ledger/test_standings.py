"""All models at once stand as each of them does alone."""

import pytest
from tests.src.state.ledger.conftest import (
    a_version,
    fill,
    promote,
    roll_back,
    some_evidence,
    without_triggers,
)

from headrace.errors import IntegrityError
from headrace.state.ledger import Approval
from headrace.state.ledger.standings import Standings


@pytest.fixture
def standings(url):
    """Models of all kinds: without a champion, rolled back, forced, asked for."""
    made = Standings(url)
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


def test_each_stands_as_it_does_alone(standings):
    found = standings.all()
    assert list(found) == standings.models() == ["digits", "letters", "words"]
    for model, standing in found.items():
        champion = standings.champion(model)
        number = champion.version.version if champion else None
        versions = standings.versions(model)
        assert (standing.champion, standing.versions) == (number, len(versions))
        assert standing.newest == versions[-1].created
        assert list(standing.waiting) == standings.waiting(model)
        if champion is not None:
            evidence = standings.standing_evidence(model, number)
            metrics = dict(evidence.metrics) if evidence else None
            assert standing.metrics == metrics
            assert standing.since == champion.entry.when
            assert standing.task == champion.version.task
    assert [one.version for one in found["words"].waiting] == [10]


def test_the_champions_are_known_in_one_query(standings):
    assert standings.champions() == {"digits": 2, "words": 2}


@pytest.mark.parametrize(
    "edit", ["model = 'others'", "kind = 'x'", "subject = '1' || subject"]
)
def test_that_the_row_of_a_champion_is_gone_is_said(standings, url, edit):
    own = "kind = 'version' AND model = 'words'"
    without_triggers(url, f"UPDATE events SET {edit} WHERE {own}")
    with pytest.raises(IntegrityError, match="version 2 of words, the champion, is go"):
        standings.all()
