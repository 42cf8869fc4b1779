"""Which former champion a challenger must hold against, by the history alone."""

from types import SimpleNamespace

import pytest

from headrace.stages import former
from headrace.stages.former import (
    Attempt,
    BestFormer,
    attempts_of,
    earlier_attempts,
    find_best_former,
)
from headrace.state.ledger import Entry, Evidence, Ledger, Version

SHAPES = {"description": {"shape": [8, 8, 1], "classes": ["0", "1"]}}


def best_former(entries, attempts, versions, champion, training, gone=()):
    """As of a ledger with these rows."""
    rows = {"history": entries, "versions": versions}
    ledger = SimpleNamespace(
        **{name: lambda _model, found=found: found for name, found in rows.items()}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(former, "attempts_of", lambda *_: attempts)
        return find_best_former(ledger, "blobs", champion, training, gone)


def version(number, **values):
    plain = {
        "model": "blobs",
        "version": number,
        "training": f"w{number}",
        "run_id": f"r{number}",
        "model_uri": f"models:/m-{number}",
        "model_digest": f"m{number}",
        "weights_digest": f"w{number}",
        "snapshot_digest": "s",
        "created_by": "ada",
        "details": SHAPES,
    }
    return Version(**plain | values)


def attempt(number, **values):
    """The evidence of version ``number``, which has the same number."""
    plain = {
        "id": number,
        "version": number,
        "training": f"w{number}",
        "champion_version": number - 1 or None,
        "best_version": None,
        "snapshot_digest": "s",
        "rows_digest": "d",
        "metrics": {"champion_p_value": 0.5},
    }
    return Attempt(**plain | values)


def history(*steps):
    """Versions that became champion in turn; a negative one by a rollback to it."""
    entries, before = [], None
    for sequence, step in enumerate(steps, start=1):
        entry = Entry(
            model="blobs",
            sequence=sequence,
            action="promote" if step > 0 else "rollback",
            from_version=before,
            to_version=abs(step),
            who="ada",
            why="",
            evidence_id=step if step > 0 else None,
        )
        entries.append(entry)
        before = abs(step)
    return entries


BETTER = {"champion_p_value": 1e-6}
VERSIONS = [version(number) for number in range(1, 6)]


def best(*steps, champion, better=(), **values):
    attempts = [
        attempt(number, metrics=BETTER) if number in better else attempt(number)
        for number in range(1, 6)
    ]
    given = {"versions": VERSIONS, "training": "new", **values}
    return best_former(history(*steps), attempts, champion=champion, **given)


def test_the_first_champion_is_the_best_until_a_better_one_comes():
    assert best(1, champion=1) == BestFormer(None, since=1)
    assert best(1, 2, champion=2) == BestFormer(1, since=1)
    assert best(1, 2, 3, 4, champion=4) == BestFormer(1, since=1)
    assert best(1, 2, champion=2, better=(2,)) == BestFormer(None, since=2)
    assert best(1, 2, 3, 4, champion=4, better=(3,)).version == 1, "3 beat 2, not 1"


def test_a_champion_better_than_the_best_replaces_it():
    attempts = [
        attempt(1),
        attempt(2),
        attempt(3, best_version=1, metrics={"best_p_value": 1e-4}),
        attempt(4),
    ]
    entries = history(1, 2, 3, 4)
    found = best_former(entries, attempts, VERSIONS, 4, "new")
    assert found == BestFormer(3, since=3)
    by_chance = attempt(3, best_version=1, metrics={"best_p_value": 0.01})
    attempts[2] = by_chance
    assert best_former(entries, attempts, VERSIONS, 4, "new").version == 1


def test_evidence_that_came_after_the_promotion_does_not_count():
    late = attempt(9, version=2, champion_version=1, metrics=BETTER)
    found = best_former(history(1, 2, 3), [attempt(1), late], VERSIONS, 3, "new")
    assert found.version == 1


def test_who_was_rolled_back_is_no_measure_until_promoted_again():
    assert best(1, 2, -1, 3, champion=3, better=(2,)).version == 1
    assert best(1, 2, -1, 3, 2, 4, champion=4, better=(2,)).version == 2


def test_the_history_ends_with_the_champion_that_is_compared_with():
    """So that the champion's own evaluation stays what it was."""
    assert best(1, 2, 3, champion=2, better=(3,)) == BestFormer(1, since=1)
    assert best(1, 2, 3, -2, champion=2) == BestFormer(1, since=1)


def test_a_model_is_not_compared_with_itself():
    assert best(1, 2, champion=2, training="w1") == BestFormer(None, since=1)


def test_who_does_not_load_or_takes_other_items_is_left_out():
    assert best(1, 2, 3, champion=3, gone=[1]).version == 2
    assert best(1, 2, 3, champion=3, gone=[1, 2]).version is None
    others = [version(1, details={"description": {"shape": [9]}}), *VERSIONS[1:]]
    assert best(1, 2, 3, champion=3, versions=others).version == 2


def test_an_evaluation_keeps_its_number():
    attempts = [attempt(1), attempt(2), attempt(3, champion_version=1)]
    assert earlier_attempts(attempts, "w2", 1, "s") == 1
    assert earlier_attempts(attempts, "w3", 1, "s") == 2
    assert earlier_attempts(attempts, "w3", 2, "s") == 3, "another champion"
    assert earlier_attempts(attempts, "w3", 1, "t") == 3, "another snapshot"
    assert earlier_attempts([*attempts, attempt(4)], "w3", 1, "s") == 2


def test_a_chance_is_of_the_model_that_it_was_compared_with():
    metrics = {"champion_p_value": 0.2, "best_p_value": None}
    found = attempt(3, best_version=1, metrics=metrics)
    assert [found.p_value_against(number) for number in (2, 1, 7)] == [0.2, 1.0, 1.0]


@pytest.mark.parametrize("better", [False, True])
def test_the_ledger_tells_attempts_and_the_best(url, better):
    ledger = Ledger(url)
    for number in (1, 2, 3):
        ledger.add_version(version(number))
    for number in (1, 2):
        evidence = ledger.add_evidence(
            Evidence(
                model="blobs",
                version=number,
                passed=True,
                gates=(),
                metrics={"champion_p_value": 1e-9 if better else 0.5},
                champion_version=number - 1 or None,
                champion_sequence=number - 1,
                snapshot_digest="s",
                rows_digest="d",
                run_id="r",
            )
        )
        ledger.promote(
            "blobs",
            number,
            who="ada",
            why="",
            expected_sequence=number - 1,
            evidence_id=evidence.id,
        )
    first, second = attempts_of(ledger, "blobs")
    assert (first.training, first.champion_version) == ("w1", None)
    assert (second.training, second.champion_version) == ("w2", 1)
    assert (second.rows_digest, second.id > first.id) == ("d", True)
    assert attempts_of(ledger, "other") == []
    found = find_best_former(ledger, "blobs", 2, "w3")
    assert found.version == (None if better else 1)
