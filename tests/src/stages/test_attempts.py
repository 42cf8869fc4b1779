"""Earlier comparisons, by the evidence in the ledger."""

from headrace.stages.attempts import Attempt, attempts_of, earlier_attempts
from headrace.state.ledger import Evidence, Ledger, Version


def version(number):
    return Version(
        model="blobs",
        version=number,
        training=f"w{number}",
        run_id=f"r{number}",
        model_uri=f"models:/m-{number}",
        model_digest=f"m{number}",
        weights_digest=f"w{number}",
        snapshot_digest="s",
        created_by="ada",
        details={},
    )


def attempt(number, champion=None):
    return Attempt(f"w{number}", champion or number - 1 or None, "s", "d")


def test_an_evaluation_keeps_its_number():
    attempts = [attempt(1), attempt(2), attempt(3, champion=1)]
    assert earlier_attempts(attempts, "w2", 1, "s") == 1
    assert earlier_attempts(attempts, "w3", 1, "s") == 2
    assert earlier_attempts(attempts, "w3", 2, "s") == 3, "another champion"
    assert earlier_attempts(attempts, "w3", 1, "t") == 3, "another snapshot"
    assert earlier_attempts([*attempts, attempt(4)], "w3", 1, "s") == 2


def test_the_ledger_tells_attempts(url):
    ledger = Ledger(url)
    for number in (1, 2):
        ledger.add_version(version(number))
        ledger.add_evidence(
            Evidence(
                model="blobs",
                version=number,
                passed=True,
                gates=(),
                metrics={},
                champion_version=number - 1 or None,
                champion_sequence=number - 1,
                snapshot_digest="s",
                rows_digest="d",
                run_id="r",
            )
        )
    assert attempts_of(ledger, "blobs") == [attempt(1), attempt(2)]
    assert attempts_of(ledger, "other") == []
