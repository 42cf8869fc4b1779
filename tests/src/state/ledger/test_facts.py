"""What was deleted, and the secret by which forgotten items are marked."""

import pytest
from tests.src.state.ledger.conftest import a_version, fill, promote

from headrace.data.corrections import ForgottenItems
from headrace.errors import DependencyError, PromotionError
from headrace.state.ledger import Ledger
from headrace.state.ledger.facts import version_key

ITEM = "d" * 64


def forget(ledger, item=ITEM):
    marks = [ForgottenItems.of(ledger).mark_item(item)]
    ledger.facts.begin_forgetting("digits", "item", "ada", marks)
    return ForgottenItems.of(ledger)


def test_what_was_forgotten_stays_known_by_its_mark(url, tmp_path):
    ledger = Ledger(url)
    assert not ForgottenItems.of(ledger)
    forget(ledger)
    found = forget(ledger, "e" * 64)
    assert [*found.has_items([ITEM, "e" * 64, "f" * 64])] == [True, True, False]
    assert ledger.facts.secret() == Ledger(url).facts.secret()
    other = Ledger(f"sqlite:///{tmp_path}/new.db").facts.secret()
    assert ledger.facts.secret() != other


def test_a_request_is_open_until_it_was_carried_out(url):
    ledger = Ledger(url)
    forget(ledger)
    (one,) = ledger.facts.forgettings()
    assert (one.pipeline, one.kind, one.who) == ("digits", "item", "ada")
    assert one.ended is None
    ledger.facts.end_forgettings("ada")
    (ended,) = ledger.facts.forgettings()
    assert (ended.begun, ended.ended is None) == (one.begun, False)


def test_a_collection_invalidates_its_versions(url):
    ledger = Ledger(url)
    fill(ledger, 1, 2)
    key = version_key(ledger.version("digits", 2))
    for decisions in (ledger.facts.decisions(), None):
        ledger.facts.record_deleted({key: "versions"}, "ada", decisions=decisions)
    assert ledger.facts.deleted() == {key: "versions"}
    with pytest.raises(PromotionError, match=r"deleted by `headrace gc`"):
        promote(ledger, 2)


def test_a_collection_that_was_planned_before_a_decision_is_refused(url):
    ledger = Ledger(url)
    fill(ledger, 1)
    decisions = ledger.facts.decisions()
    ledger.add_version(a_version(2))
    planned = {"snapshots/x": "snapshots"}
    with pytest.raises(DependencyError, match="changed while"):
        ledger.facts.record_deleted(planned, "ada", decisions=decisions)
    assert ledger.facts.deleted() == {}
