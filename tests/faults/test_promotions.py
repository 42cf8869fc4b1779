"""Promotions and rollbacks that race on PostgreSQL, one in ten killed in the middle."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.databases import postgresql

from headrace.records import GateResult
from headrace.state.ledger import Evidence, Ledger, Version

RACES = int(os.environ.get("RACES", "160"))  # `make test-faults` has 10,000
PROCESSES = 8
VERSIONS = 5


@pytest.fixture
def url(tmp_path):
    """A real PostgreSQL with a ledger of five versions that passed their gates."""
    with postgresql(tmp_path / "postgres") as server:
        url = server.get_uri(driver="psycopg2")
        fill(Ledger(url))
        yield url


def fill(ledger):
    for number in range(1, VERSIONS + 1):
        ledger.add_version(
            Version(
                model="blobs",
                version=number,
                training=f"t{number}",
                run_id="r",
                model_uri="models:/m-1",
                model_digest="m",
                weights_digest="w",
                snapshot_digest="s",
                created_by="ada@lab",
            )
        )
        for champion in (None, *range(1, VERSIONS + 1)):
            ledger.add_evidence(
                Evidence(
                    model="blobs",
                    version=number,
                    passed=True,
                    gates=(GateResult(name="accuracy", passed=True),),
                    metrics={},
                    champion_version=champion,
                    champion_sequence=0,
                    snapshot_digest="s",
                    run_id="r",
                )
            )


def race(url):
    """Let all processes race; returns what became of each attempt, by its label."""
    racing = Path(__file__).with_name("racing.py")
    command = [sys.executable, str(racing), url, str(PROCESSES)]
    done = subprocess.run(
        [*command, str(RACES // PROCESSES)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    became = {"won": set(), "lost": set(), "unknown": set()}
    for said in json.loads(done.stdout):
        for outcome, labels in said.items():
            became[outcome] |= set(labels)
    return became


def champions_of(history):
    """The champions that are left to go back to, worked out by hand."""
    stack = []
    for number, entry in enumerate(history, start=1):
        assert entry.sequence == number, "a gap"
        assert entry.from_version == (stack[-1] if stack else None)
        if entry.action == "promote":
            assert entry.from_version != entry.to_version
            stack.append(entry.to_version)
        else:
            stack.pop()
            assert entry.to_version == stack[-1], "not the champion before"
    return stack


@pytest.mark.timeout(3600)
def test_racing_promotions_make_one_order_and_the_right_champion(url):
    became = race(url)
    ledger = Ledger(url)
    history = ledger.history("blobs")
    made = [entry.who for entry in history]
    assert len(made) == len(set(made)), "an attempt was made twice"
    # All that were told that they won have won, and nobody else, but for the killed.
    assert became["won"] <= set(made)
    assert set(made) <= became["won"] | became["unknown"]
    assert not set(made) & became["lost"]
    last = ledger.champion("blobs")
    assert last is not None
    assert last.version.version == champions_of(history)[-1] == history[-1].to_version
    assert sum(map(len, became.values())) == RACES
    assert len(became["unknown"]) > RACES / 20
