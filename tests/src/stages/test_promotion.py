"""How a run ends, and promotion and rollback by hand."""

from functools import partial
from typing import Any

import pytest
from tests.homes import Home

from headrace.errors import (
    IntegrityError,
    NotFoundError,
    PromotionError,
    UsageError,
)
from headrace.records import GateResult, PromotionRecord
from headrace.stages.promotion import conclude, verdict
from headrace.stages.promotion.by_hand import promote_by_hand, roll_back
from headrace.stages.registration import register
from headrace.state.home import Home as Opened
from headrace.state.ledger import Ledger
from headrace.state.tracking import MODEL_FILE, Tracking

pytestmark = pytest.mark.system

Trained = Any


@pytest.fixture
def ledger(trained):
    return Ledger(trained.settings.database_url)


def a_gate(kind, passed):
    return GateResult.model_validate(
        {"name": kind, "kind": kind, "passed": passed, "reason": f"{kind} says so"}
    )


def seen(trained, *gates):
    """The good training's evaluation with other gates."""
    found = trained.good_evaluation.model_copy(update={"gates": gates})
    return found


@pytest.fixture
def end(trained):
    """Register and conclude the good training."""

    def call(evaluation=None, law=None, **how):
        law, evaluation = law or trained, evaluation or trained.good_evaluation
        registered = register(
            law.spec,
            law.folder,
            trained.snapshot,
            trained.good,
            evaluation,
            law.home,
        )
        return conclude(law.spec, evaluation, registered, law.home, **how)

    return call


def manual(trained):
    """The same under a pipeline file that leaves promotions to people."""
    return trained.with_law(promotion='{ mode = "manual" }')


def aliases(trained):
    model = Tracking(trained.settings).client.get_registered_model("blobs")
    return {name: int(version) for name, version in model.aliases.items()}


def champion_of(ledger):
    champion = ledger.champion("blobs")
    return champion.version.version if champion else None


@pytest.mark.parametrize(
    ("failed", "status", "reason"),
    [
        (["absolute"], "refused", "absolute: absolute says so"),
        (["serving"], "refused", "serving: serving says so"),
        (["champion"], "registered", "champion kept: champion says so"),
        (
            ["absolute", "champion"],
            "refused",
            "absolute: absolute says so; champion: champion says so",
        ),
        (
            ["absolute", "serving"],
            "refused",
            "absolute: absolute says so; serving: serving says so",
        ),
    ],
)
def test_failed_gates_decide(trained, failed, status, reason):
    kinds = ("absolute", "champion", "serving")
    gates = [a_gate(kind, kind not in failed) for kind in kinds]
    decided = verdict(trained.spec, seen(trained, *gates))
    assert decided is not None
    assert (decided.status, decided.reason) == (status, reason)


def test_gates_that_hold_leave_it_to_the_ledger(trained):
    assert verdict(trained.spec, trained.good_evaluation) is None


def test_without_gates_or_by_hand_a_version_is_only_registered(trained):
    serving = seen(trained, a_gate("serving", True))
    bare = trained.spec.model_copy(update={"gates": ()})
    decided = verdict(bare, serving)
    assert decided == PromotionRecord(status="registered", reason="there are no gates")
    decided = verdict(manual(trained).spec, trained.good_evaluation)
    assert decided is not None
    assert (decided.status, "manual" in decided.reason) == ("registered", True)


def test_a_better_model_is_promoted_with_its_evidence(trained, end, ledger):
    ended = end()
    assert (ended.status, ended.aliases) == ("promoted", ("champion",))
    entry = ledger.history("blobs")[-1]
    assert (entry.sequence, entry.from_version, entry.to_version) == (2, 1, 2)
    assert (entry.who, entry.forced) == ("ada@lab", False)
    evidence = ledger.latest_evidence("blobs", 2)
    assert evidence is not None
    assert entry.evidence_id == evidence.id
    assert "significantly better" in entry.why
    assert aliases(trained) == {"champion": 2}


def test_promoting_the_champion_again_is_a_success_and_no_entry(end, ledger):
    end()
    again = end()
    assert again.status == "unchanged"
    assert again.reason == "version 2 is the champion already"
    assert again.aliases == ("champion",)
    assert ledger.sequence("blobs") == 2


def test_a_refused_version_is_kept_and_cannot_be_promoted(trained, end, ledger):
    ended = end(seen(trained, a_gate("absolute", False), a_gate("serving", True)))
    assert (ended.status, ended.aliases) == ("refused", ())
    assert aliases(trained) == {"champion": 1}
    assert [v.version for v in ledger.versions("blobs")] == [1, 2]
    with pytest.raises(
        PromotionError, match="Version 2 of blobs did not pass its gates: absolute"
    ):
        promote_by_hand("blobs", 2, trained.home, force=False, reason="")
    assert champion_of(ledger) == 1


def test_a_training_that_does_not_serve_is_refused_without_a_version(
    trained, end, ledger
):
    ended = end(seen(trained, a_gate("serving", False)))
    assert (ended.status, ended.aliases) == ("refused", ())
    assert [v.version for v in ledger.versions("blobs")] == [1]


def test_a_champion_that_changed_meanwhile_is_kept(trained, end, ledger):
    """The evaluation was against version 1; version 2 was promoted in the meantime."""
    end(law=manual(trained))
    old = trained.good_evaluation.model_copy(update={"champion_version": None})
    ended = end(old)
    assert ended.status == "registered"
    assert ended.reason.startswith("champion kept: it is version 1")
    assert champion_of(ledger) == 1


def test_an_evaluation_against_the_present_champion_holds_after_other_entries(
    trained, end, ledger
):
    """Another version came and went: the comparison is still with the champion."""
    weak, settings = trained.weak, trained.settings
    client = Tracking(settings).client
    other = client.create_model_version("blobs", weak.model_uri, weak.run_id)
    change = {"version": int(other.version), "training": "other"}
    ledger.add_version(ledger.version("blobs", 1).model_copy(update=change))
    promote_by_hand("blobs", 2, Opened(settings), force=True, reason="try")
    roll_back("blobs", Opened(settings), reason="tried")
    assert ledger.sequence("blobs") == 3
    assert end().status == "promoted"
    assert champion_of(ledger) == 3


def test_a_version_that_was_rolled_back_is_not_promoted_by_itself(trained, end, ledger):
    end()
    entry = roll_back("blobs", trained.home, reason="it shouted")
    assert (entry.action, entry.from_version, entry.to_version) == ("rollback", 2, 1)
    assert entry.why == "it shouted"
    assert aliases(trained) == {"champion": 1, "challenger": 2}
    ended = end()
    assert (ended.status, ended.aliases) == ("registered", ("challenger",))
    assert "version 2 was rolled back by ada@lab (it shouted)" in ended.reason
    assert champion_of(ledger) == 1
    by_hand, new = promote_by_hand("blobs", 2, trained.home, force=False, reason="")
    assert (by_hand.to_version, new) == (2, True)
    assert end().status == "unchanged"


def test_promotion_by_hand_takes_the_newest_by_default(trained, end):
    end(law=manual(trained))
    entry, new = promote_by_hand("blobs", None, trained.home, force=False, reason="")
    assert (entry.to_version, new) == (2, True)
    assert aliases(trained) == {"champion": 2}
    entry, new = promote_by_hand("blobs", 2, trained.home, force=False, reason="")
    assert (entry.sequence, new) == (2, False)


def test_who_comes_second_is_told_who_made_the_champion(trained, end, ledger):
    """Somebody forces the same version while it is judged for another."""
    end(law=manual(trained))
    evidence = ledger.latest_evidence("blobs", 2)

    def judge(*_):
        who = {"who": "eve@lab", "why": "hurry", "expected_sequence": 1}
        ledger.promote("blobs", 2, forced=True, **who)
        return evidence

    entry, new = promote_by_hand(
        "blobs", 2, trained.home, force=False, reason="mine", judge=judge
    )
    assert (entry.who, entry.why, new) == ("eve@lab", "hurry", False)
    home = Home(trained.settings.home, trained.settings.project)
    said = ("--force", "--reason", "mine too", "--json")
    told = home.headrace("promote", "blobs", "2", *said).json
    assert told["status"] == "unchanged"
    assert told["reason"] == (
        f"version 2 is the champion already: eve@lab promoted version 2 at {entry.when}"
        " (entry 2); your reason is not recorded"
    )


@pytest.mark.parametrize("decision", ["promote", "force", "rollback"])
def test_a_decision_by_hand_publishes_the_ledgers_head(
    trained, end, ledger, decision, caplog
):
    caplog.set_level("INFO", "headrace")
    settings = trained.settings
    by_hand = partial(promote_by_hand, "blobs", 2, trained.home, reason="by hand")
    if decision == "rollback":
        end()
        roll_back("blobs", Opened(settings), reason="by hand")
    else:
        end(law=manual(trained))
        by_hand(force=decision == "force")
    champion = ledger.champion("blobs")
    assert champion is not None
    number, head = champion.entry.to_version, ledger.walk_chain().head
    _, listed = trained.home.tracking.registered("blobs")
    assert listed[number]["headrace.ledger_head"] == head
    assert f"blobs: champion is version {number}; ledger head {head}" in caplog.text


def test_overruling_the_gates_needs_a_reason_and_is_recorded(trained, end, ledger):
    end(seen(trained, a_gate("absolute", False), a_gate("serving", True)))
    with pytest.raises(UsageError, match="forced promotion needs a reason"):
        promote_by_hand("blobs", 2, trained.home, force=True, reason=" ")
    entry, _ = promote_by_hand("blobs", 2, trained.home, force=True, reason="demo")
    assert (entry.forced, entry.why) == (True, "demo")
    assert ledger.history("blobs")[-1] == entry


@pytest.mark.parametrize(
    ("model", "version", "message"),
    [
        ("nothing", None, r"There is no model 'nothing'\. Known models: blobs"),
        ("blobss", None, r"There is no model 'blobss'\. Did you mean blobs\?"),
        ("blobs", 7, "no version 7 of blobs.*Known versions: 1"),
    ],
)
def test_what_is_not_there_cannot_be_promoted(trained, model, version, message):
    with pytest.raises(NotFoundError, match=message):
        promote_by_hand(model, version, trained.home, force=False, reason="")


def files_of(trained, record):
    model_id = record.model_uri.rpartition("/")[2]
    found = trained.settings.home.glob(f"mlartifacts/**/{model_id}/**/{MODEL_FILE}")
    return list(found)


def test_a_version_whose_file_is_gone_cannot_be_promoted(trained, end, ledger):
    end(law=manual(trained))
    (file,) = files_of(trained, trained.good)
    file.unlink()
    with pytest.raises(IntegrityError, match="no longer in MLflow's artifact store"):
        promote_by_hand("blobs", 2, trained.home, force=False, reason="")
    assert champion_of(ledger) == 1


@pytest.mark.parametrize("damage", ["gone", "changed"])
def test_a_rollback_loads_the_old_model_first(trained, end, ledger, damage):
    end()
    (file,) = files_of(trained, trained.weak)
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-1])
    before = ledger.history("blobs")
    with pytest.raises(IntegrityError, match=r"no longer in|changed or damaged"):
        roll_back("blobs", trained.home, reason="try")
    assert ledger.history("blobs") == before
    assert aliases(trained) == {"champion": 2}


def test_the_first_champion_has_nothing_to_go_back_to(trained):
    with pytest.raises(PromotionError, match="nothing to roll back to"):
        roll_back("blobs", trained.home, reason="")


def test_aliases_moved_behind_our_back_are_put_right(trained, end):
    client = Tracking(trained.settings).client
    end()
    client.set_registered_model_alias("blobs", "champion", "1")
    client.set_registered_model_alias("blobs", "challenger", "1")
    end()
    assert aliases(trained) == {"champion": 2}
    client.delete_registered_model_alias("blobs", "champion")
    promote_by_hand("blobs", 2, trained.home, force=False, reason="")
    assert aliases(trained) == {"champion": 2}
