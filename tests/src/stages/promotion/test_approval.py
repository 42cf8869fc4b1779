"""Approval: asked for, given, refused, forgotten, and what stands against it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from headrace.errors import NotFoundError, PromotionError, UsageError
from headrace.planning import Plan, find_finished
from headrace.planning.plan import LastResults
from headrace.stages.promotion import approval, conclude
from headrace.stages.promotion.by_hand import promote_by_hand, roll_back
from headrace.stages.registration import register
from headrace.state.home import Home
from headrace.state.ledger import Ledger, records
from headrace.state.tracking import Tracking

pytestmark = pytest.mark.system

Trained = Any


def wanting(trained, **fields):
    """The same under a pipeline file that wants an approval."""
    values = {"mode": '"approval"', **{k: str(v).lower() for k, v in fields.items()}}
    table = ", ".join(f"{name} = {value}" for name, value in values.items())
    return trained.with_law(promotion=f"{{ {table} }}")


class Asked:
    """The good training, registered, with a request for its approval."""

    def __init__(self, trained, **fields):
        self.trained = trained
        self.wanting = wanting(trained, **fields)
        self.settings = self.wanting.settings
        self.spec = self.wanting.spec
        self.registered = register(
            self.spec,
            self.wanting.folder,
            trained.snapshot,
            trained.good,
            trained.good_evaluation,
            self.home,
        )
        self.ledger = Ledger(trained.settings.database_url)
        self.request, self.is_new = self.ask()

    @property
    def home(self):
        return self.wanting.home

    def ask(self):
        found = self.try_to_ask()
        assert found is not None
        return found

    def try_to_ask(self):
        seen = self.trained.good_evaluation
        return approval.ask(self.spec, seen, self.registered, self.home)

    def end(self, began_at=1):
        """How the run ends; by default one that began with the first champion."""
        seen = self.trained.good_evaluation
        record = conclude(
            self.spec, seen, self.registered, self.home, began_at=began_at
        )
        return record.status, record.reason

    def as_user(self, name):
        return Home(self.home.settings.model_copy(update={"user": name}))

    @property
    def champion(self):
        champion = self.ledger.champion("blobs")
        assert champion is not None
        return champion.version.version


@pytest.fixture
def asked(trained):
    return Asked(trained)


def test_a_version_whose_gates_hold_is_asked_for_once(asked):
    request = asked.request
    assert (request.version, request.who, request.step) == (2, "ada@lab", 1)
    assert asked.is_new
    assert request.evidence_id == asked.ledger.latest_evidence("blobs", 2).id
    assert asked.ask() == (request, False)
    assert asked.ledger.waiting("blobs") == [request]
    status, reason = asked.end()
    assert (status, asked.champion) == ("registered", 1)
    assert "headrace approve blobs 2" in reason


def test_nobody_is_asked_where_gates_fail_or_the_mode_is_another(trained):
    asked = Asked(trained)
    failed = trained.weak_evaluation
    again = (failed, asked.registered, asked.home)
    assert approval.ask(wanting(trained).spec, *again) is None
    seen = trained.good_evaluation
    assert approval.ask(trained.spec, seen, asked.registered, asked.home) is None


def test_an_approval_promotes_and_says_who_and_why(asked):
    grace = asked.as_user("grace@lab")
    entry, new = approval.approve("blobs", None, grace, reason="looks good")
    assert (entry.to_version, entry.who, new) == (2, "grace@lab", True)
    assert entry.why.startswith("approved by grace@lab (looks good); all gates hold")
    assert entry.evidence_id == asked.request.evidence_id
    assert asked.end() == ("promoted", entry.why)
    said = "version 2 is the champion already"
    assert asked.end(began_at=2) == asked.end(None) == ("unchanged", said)
    model = Tracking(asked.settings).client.get_registered_model("blobs")
    assert {n: int(v) for n, v in model.aliases.items()} == {"champion": 2}
    words = [(w.action, w.who) for w in asked.ledger.approvals("blobs")]
    assert words == [("request", "ada@lab"), ("approve", "grace@lab")]
    assert approval.approve("blobs", 2, grace, reason="") == (entry, False)


def test_an_approval_that_was_cut_off_is_promoted_by_the_next_run(asked, monkeypatch):
    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "promote", killed)
        with pytest.raises(KeyboardInterrupt):
            approval.approve("blobs", 2, asked.as_user("grace@lab"), reason="")
    assert asked.champion == 1
    assert asked.try_to_ask() is None
    status, reason = asked.end()
    assert (status, asked.champion) == ("promoted", 2)
    assert "approved by grace@lab" in reason
    assert asked.ledger.history("blobs")[-1].who == "grace@lab"


def test_a_rejected_version_ends_refused_and_is_not_asked_for_again(asked):
    approval.reject("blobs", 2, asked.as_user("grace@lab"), reason="confuses 3 and 5")
    assert asked.end() == (
        "refused",
        "version 2 was rejected by grace@lab (confuses 3 and 5)",
    )
    assert asked.try_to_ask() is None
    assert asked.champion == 1
    asked.spec = asked.trained.spec  # in no mode is it promoted by itself
    assert asked.end()[0] == "refused"


def test_a_rejected_version_is_approved_with_a_reason_or_by_force(asked):
    approval.reject("blobs", 2, asked.home, reason="not now")
    with pytest.raises(PromotionError, match="rejected by ada@lab"):
        promote_by_hand("blobs", 2, asked.home, force=False, reason="")
    with pytest.raises(UsageError, match="rejected by ada@lab"):
        approval.approve("blobs", 2, asked.home, reason="")
    approval.approve("blobs", 2, asked.home, reason="now")
    assert asked.champion == 2
    roll_back("blobs", asked.home, reason="")
    assert asked.end()[0] == "registered"
    entry, _ = promote_by_hand("blobs", 2, asked.home, force=True, reason="sure")
    assert (entry.forced, asked.champion) == (True, 2)


def test_after_a_rollback_the_old_word_promotes_nothing(asked):
    approval.approve("blobs", 2, asked.as_user("grace@lab"), reason="looks good")
    roll_back("blobs", asked.as_user("joan@lab"), reason="it was slow")
    eve = asked.as_user("eve@lab")
    with pytest.raises(UsageError, match="rolled back by joan@lab"):
        approval.approve("blobs", 2, eve, reason=" ")
    with pytest.raises(PromotionError, match="but was rolled back by joan@lab since"):
        promote_by_hand("blobs", 2, eve, force=False, reason="it is fast now")
    assert asked.champion == 1
    entry, new = approval.approve("blobs", 2, eve, reason="it is fast now")
    assert (entry.who, new, asked.champion) == ("eve@lab", True, 2)
    assert "approved by eve@lab (it is fast now)" in entry.why
    words = [(w.action, w.who) for w in asked.ledger.approvals("blobs")]
    assert words[-2:] == [("approve", "grace@lab"), ("approve", "eve@lab")]


def test_a_version_that_waits_is_not_promoted_by_hand_without_force(asked):
    with pytest.raises(PromotionError, match="waits for approval"):
        promote_by_hand("blobs", None, asked.home, force=False, reason="")
    promote_by_hand("blobs", None, asked.home, force=True, reason="at night")
    assert asked.try_to_ask() is None


def test_a_rejection_needs_a_reason_and_a_request(asked):
    with pytest.raises(UsageError, match="needs a reason"):
        approval.reject("blobs", 2, asked.home, reason=" ")
    with pytest.raises(PromotionError, match="Nobody has asked"):
        approval.reject("blobs", 1, asked.home, reason="old")
    with pytest.raises(NotFoundError, match="no version 9"):
        approval.approve("blobs", 9, asked.home, reason="")
    approval.approve("blobs", 2, asked.home, reason="")
    with pytest.raises(NotFoundError, match="No version of blobs waits"):
        approval.approve("blobs", None, asked.home, reason="")
    with pytest.raises(PromotionError, match="is the champion already"):
        approval.reject("blobs", 2, asked.home, reason="too late")


def test_four_eyes_refuse_who_started_the_run(trained):
    asked = Asked(trained, four_eyes=True)
    for name in ("ada@lab", " Ada@LAB"):
        user = asked.as_user(name)
        with pytest.raises(PromotionError, match="four_eyes"):
            approval.approve("blobs", None, user, reason="mine")
        with pytest.raises(PromotionError, match="four_eyes"):
            approval.reject("blobs", None, user, reason="mine")
    assert asked.ledger.waiting("blobs") == [asked.request]
    approval.approve("blobs", None, asked.as_user("grace@lab"), reason="")
    assert asked.champion == 2


def test_a_request_that_nobody_answered_reads_as_rejected_and_nothing_is_written(
    trained, monkeypatch
):
    asked = Asked(trained, approval_hours=1)
    assert asked.ledger.waiting("blobs") == [asked.request]
    rows = asked.ledger.walk_chain().rows
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat(timespec="milliseconds")
    monkeypatch.setattr(records, "utc_now", lambda: later)
    with pytest.raises(NotFoundError, match="No version of blobs waits"):
        approval.approve("blobs", None, asked.home, reason="late")
    last = asked.ledger.approvals("blobs")[-1]
    assert (last.action, last.who, last.step) == ("reject", "timeout", 2)
    status, reason = asked.end()
    assert status == "refused"
    assert "rejected by timeout (nobody answered until" in reason
    assert asked.ledger.timeline("blobs")[-2:] == [asked.request, last]
    assert asked.ledger.waiting("blobs") == []
    assert asked.ledger.walk_chain().rows == rows
    approval.approve("blobs", 2, asked.home, reason="late, but good")
    steps = [step.step for step in asked.ledger.approvals("blobs")]
    assert steps == [1, 2, 3], "the rejection keeps its place"


def test_the_champion_must_be_the_one_it_was_compared_with(asked):
    promote_by_hand("blobs", 2, asked.home, force=True, reason="for a moment")
    roll_back("blobs", asked.home, reason="back")
    asked.ledger.promote("blobs", 2, who="x", why="x", expected_sequence=3, forced=True)
    entries = asked.ledger.history("blobs")
    assert asked.champion == 2
    # Version 1 was compared with none: it cannot come in by an old request.
    word = asked.request.model_copy(update={"version": 1, "evidence_id": 1})
    asked.ledger.add_approval(word)
    with pytest.raises(PromotionError, match=r"no evidence .* the champion 2"):
        approval.approve("blobs", 1, asked.home, reason="")
    assert asked.ledger.history("blobs") == entries
    assert asked.ledger.approval("blobs", 1) == word


def test_new_evidence_is_asked_for_anew(asked):
    old = asked.ledger.latest_evidence("blobs", 2)
    assert old is not None
    metrics = {**old.metrics, "test_accuracy": 0.5}
    asked.ledger.add_evidence(old.model_copy(update={"id": None, "metrics": metrics}))
    request, is_new = asked.ask()
    assert (request.step, is_new) == (2, True)
    assert request.evidence_id != asked.request.evidence_id
    assert asked.ledger.waiting("blobs") == [request]


def test_of_two_answers_at_once_the_first_holds(asked):
    def answer(number):
        user = asked.as_user(f"user{number}")
        try:
            approval.reject("blobs", 2, user, reason="no")
        except PromotionError as error:
            return error.message
        return user.settings.user

    real = approval._find
    found = real("blobs", 2, asked.ledger)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(approval, "_find", lambda *_: found)  # all have seen the same
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(answer, range(4)))
    (winner,) = [s for s in said if s.startswith("user")]
    words = asked.ledger.approvals("blobs")
    assert [w.who for w in words] == ["ada@lab", winner]
    lost = [s for s in said if s != winner]
    assert all(f"was rejected by {winner} (no) just before" in s for s in lost)


def test_a_finished_run_is_answered_by_the_rejection(asked):
    trained = asked.trained
    plan = Plan(asked.spec, asked.wanting.folder, asked.home)
    kept = (trained.snapshot, trained.contract, trained.good, trained.good_evaluation)
    vars(plan)["last"] = LastResults(*kept)
    assert find_finished(plan) is None
    approval.reject("blobs", 2, asked.home, reason="no")
    finished = find_finished(plan)
    assert finished is not None
    assert (finished.status, finished.reason) == (
        "refused",
        "version 2 was rejected by ada@lab (no)",
    )
