"""The champion is what the last entry says; a promotion needs proof and comes next."""

import random
import threading
from functools import partial

import pytest
from tests.src.state.ledger.conftest import (
    WHO,
    a_version,
    assert_is_a_line,
    champion,
    fill,
    promote,
    roll_back,
    some_evidence,
)

from headrace.errors import NotFoundError, PromotionError, UsageError
from headrace.state.ledger import Entry, Ledger

# Promotion


def test_an_empty_ledger_has_no_champion(ledger):
    fill(ledger, 1)
    assert ledger.champion("digits") is None
    assert ledger.sequence("digits") == 0
    assert ledger.history("digits") == []


def test_a_promotion_is_the_next_entry_and_names_the_champion(ledger):
    fill(ledger, 1, 2)
    first = promote(ledger, 1, why="first")
    second = promote(ledger, 2, why="better", evidence_id=4)
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
    assert second.evidence_id == 4
    found = ledger.champion("digits")
    assert found is not None
    assert found.version == ledger.version("digits", 2)
    assert found.entry == second
    assert ledger.history("digits") == [first, second]
    assert ledger.history("digits", after=1) == [second]


def test_promoting_the_champion_again_changes_nothing(ledger):
    fill(ledger, 1)
    entry = promote(ledger, 1, who="bob@lab")
    assert promote(ledger, 1) == entry
    assert promote(ledger, 1, expected_sequence=0) == entry
    assert ledger.history("digits") == [entry]


def test_of_many_who_promote_one_version_one_is_told_that_he_did(url):
    fill(Ledger(url), 1)
    start = threading.Barrier(8)
    told = []

    def force(number):
        ledger = Ledger(url)
        how = {"who": f"user {number}", "why": f"reason {number}", "forced": True}
        start.wait()
        told.append(ledger.promote("digits", 1, expected_sequence=0, **how))

    threads = [threading.Thread(target=force, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (entry,) = Ledger(url).history("digits")
    assert [found for found, _ in told] == [entry] * 8
    assert sorted(is_new for _, is_new in told) == [False] * 7 + [True]


def test_each_model_counts_its_own_entries(ledger):
    fill(ledger, 1, 2)
    ledger.add_version(a_version(1, model="letters"))
    ledger.add_evidence(some_evidence(1, model="letters"))
    promote(ledger, 1)
    promote(ledger, 2)
    entry, _ = ledger.promote("letters", 1, who=WHO, why="", expected_sequence=0)
    assert (entry.sequence, ledger.sequence("digits")) == (1, 2)
    assert champion(ledger) == 2


def test_an_unknown_version_is_not_promoted(ledger):
    fill(ledger, 1)
    with pytest.raises(NotFoundError, match=r"no version 2 of digits.*versions: 1\."):
        promote(ledger, 2)


def test_a_version_without_evidence_is_not_promoted(ledger):
    ledger.add_version(a_version(1))
    with pytest.raises(PromotionError, match=r"no evidence for version 1.*--force"):
        promote(ledger, 1)
    assert ledger.sequence("digits") == 0


def test_passing_evidence_for_another_version_does_not_count(ledger):
    fill(ledger, 1)
    ledger.add_version(a_version(2))
    with pytest.raises(PromotionError, match="no evidence for version 2 of digits"):
        promote(ledger, 2)
    with pytest.raises(PromotionError, match="no evidence for version 2 of digits"):
        promote(ledger, 2, evidence_id=1)
    assert promote(ledger, 2, evidence_id=1, forced=True, why="try").evidence_id is None


def test_only_the_latest_evidence_counts(ledger):
    fill(ledger, 1)
    ledger.add_evidence(some_evidence(1, passed=False))
    with pytest.raises(PromotionError, match="did not pass its gates: accuracy"):
        promote(ledger, 1, evidence_id=1)
    ledger.add_evidence(some_evidence(1))
    assert promote(ledger, 1).evidence_id == 3


def test_evidence_counts_against_the_champion_that_it_names(ledger):
    for number in (1, 2, 3):
        ledger.add_version(a_version(number))
        ledger.add_evidence(some_evidence(number))
    ledger.add_evidence(some_evidence(3, champion_version=2))
    promote(ledger, 1)
    against_1 = "no evidence for version 3 of digits against the champion 1.*--force"
    for number in (None, 3, 4):
        with pytest.raises(PromotionError, match=against_1):
            promote(ledger, 3, evidence_id=number)
    assert champion(ledger) == 1


def test_evidence_of_an_experiment_promotes_by_force_alone(ledger):
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, overrides=("gates", "promotion.mode")))
    for number in (None, 1):
        with pytest.raises(PromotionError, match=r"no evidence for version 1.*--force"):
            promote(ledger, 1, evidence_id=number)
    entry = promote(ledger, 1, forced=True, why="for the fair")
    assert (entry.forced, entry.evidence_id) == (True, 1)


def test_evidence_under_another_law_is_beside_the_first(ledger):
    fill(ledger, 1)
    other = ledger.add_evidence(some_evidence(1, passed=False, law_digest="b"))
    with pytest.raises(PromotionError, match="did not pass its gates"):
        promote(ledger, 1, evidence_id=other.id)
    assert promote(ledger, 1, evidence_id=1).evidence_id == 1


def test_evidence_without_gates_says_so(ledger):
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, passed=False, gates=()))
    with pytest.raises(PromotionError, match="its gates: there were none"):
        promote(ledger, 1)


def test_a_forced_promotion_is_recorded_as_such(ledger):
    ledger.add_version(a_version(1))
    entry = promote(ledger, 1, forced=True, why="the demo is today")
    assert (entry.forced, entry.why) == (True, "the demo is today")
    assert entry.evidence_id is None
    assert champion(ledger) == 1


def test_a_forced_promotion_names_the_evidence_it_overrules(ledger):
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1, passed=False))
    assert promote(ledger, 1, forced=True, why="known").evidence_id == 1


def test_a_forced_promotion_is_not_on_an_experiment_where_there_is_other_evidence(
    ledger,
):
    ledger.add_version(a_version(1))
    ledger.add_evidence(some_evidence(1))
    ledger.add_evidence(some_evidence(1, overrides=("gates",)))
    assert promote(ledger, 1, forced=True, why="known").evidence_id == 1


@pytest.mark.parametrize("name", ["digits/1", "digits@champion"])
def test_a_version_in_place_of_a_name_is_told(ledger, name):
    ledger.add_version(a_version(1))
    with pytest.raises(NotFoundError, match=f"no model {name!r}. Did you mean digits"):
        ledger.newest_version(name)


def test_what_is_no_number_is_no_version(ledger):
    ledger.add_version(a_version(1))
    with pytest.raises(
        NotFoundError, match=r"version 'x' of digits\. Known versions: 1"
    ):
        ledger.find("digits/x")


@pytest.mark.parametrize("why", ["", "  \n"])
def test_a_forced_promotion_needs_a_reason(ledger, why):
    fill(ledger, 1)
    with pytest.raises(UsageError, match=r"needs a reason.*--reason"):
        promote(ledger, 1, forced=True, why=why)


def test_a_stale_promotion_hears_who_came_first(ledger):
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


def test_a_promotion_decided_on_a_later_entry_leaves_no_gap(ledger):
    fill(ledger, 1)
    with pytest.raises(PromotionError, match="on entry 5, but the last entry is 0"):
        promote(ledger, 1, expected_sequence=5)
    assert ledger.history("digits") == []


# Rollback


def test_a_rollback_walks_back_one_promotion_at_a_time(ledger):
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


def test_a_rollback_returns_to_what_was_champion_before_the_promotion(ledger):
    fill(ledger, 1, 2, 3, 4)
    for number in (1, 2, 3):
        promote(ledger, number)
    roll_back(ledger)
    promote(ledger, 4)
    assert [roll_back(ledger).to_version for _ in range(2)] == [2, 1]


def test_a_version_promoted_twice_is_walked_back_twice(ledger):
    fill(ledger, 1, 2)
    for number in (1, 2, 1):
        promote(ledger, number)
    assert [roll_back(ledger).to_version for _ in range(2)] == [2, 1]


def test_without_a_champion_there_is_nothing_to_roll_back_to(ledger):
    fill(ledger, 1)
    with pytest.raises(PromotionError, match="digits has had no champion"):
        roll_back(ledger)
    with pytest.raises(PromotionError, match="letters has had no champion"):
        ledger.rollback_target("letters")


def test_a_stale_rollback_hears_who_came_first(ledger):
    fill(ledger, 1, 2)
    promote(ledger, 1)
    promote(ledger, 2)
    roll_back(ledger, who="eve@lab")
    with pytest.raises(
        PromotionError,
        match=r"rollback of digits was rejected.*"
        r"eve@lab rolled back from version 2 to 1",
    ):
        roll_back(ledger, expected_sequence=2)


def test_a_rolled_back_version_is_known_until_it_is_promoted_again(ledger):
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


# The rules, once more, in a few lines


class Model:
    """What a ledger of versions 1..4 (passing), 5 (failing), 6 (unproved) does."""

    def __init__(self):
        self.champions = []
        self.sequence = 0

    def promote(self, number, forced, expected):
        if self.champions[-1:] == [number]:
            return True
        allowed = (forced or number < 5) and expected == self.sequence
        if allowed:
            self.champions.append(number)
            self.sequence += 1
        return allowed

    def roll_back(self, expected):
        allowed = len(self.champions) > 1 and expected == self.sequence
        if allowed:
            self.champions.pop()
            self.sequence += 1
        return allowed


@pytest.mark.system
def test_300_random_operations_agree_with_the_rules(ledger):
    fill(ledger, 1, 2, 3, 4, others=(5, 6))
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
