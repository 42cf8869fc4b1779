"""What was deleted, and the secret by which forgotten items are marked."""

import pytest
from tests.src.state.ledger.conftest import a_version, fill, promote

from headrace.data.forgotten import ForgottenItems
from headrace.errors import DependencyError, PromotionError
from headrace.state.ledger import Ledger
from headrace.state.ledger.disposals import Collected, version_key

ITEM = "d" * 64


def forget(ledger, item=ITEM):
    marks = [ForgottenItems.of(ledger).mark_item(item)]
    ledger.disposals.begin_forgetting("digits", "item", "ada", marks)
    return ForgottenItems.of(ledger)


def test_what_was_forgotten_stays_known_by_its_mark(url, tmp_path):
    ledger = Ledger(url)
    assert not ForgottenItems.of(ledger)
    forget(ledger)
    found = forget(ledger, "e" * 64)
    assert [*found.has_items([ITEM, "e" * 64, "f" * 64])] == [True, True, False]
    assert ledger.disposals.secret() == Ledger(url).disposals.secret()
    other = Ledger(f"sqlite:///{tmp_path}/new.db").disposals.secret()
    assert ledger.disposals.secret() != other


def test_a_request_is_open_until_it_was_carried_out(url):
    ledger = Ledger(url)
    forget(ledger)
    (one,) = ledger.disposals.open_forgettings()
    assert (one.number, one.pipeline, one.kind, one.who) == (1, "digits", "item", "ada")
    ledger.disposals.end_forgetting([one.number])
    assert ledger.disposals.open_forgettings() == []
    assert len(ledger.disposals.forgettings()) == 1


def test_a_collection_invalidates_its_versions(url):
    ledger = Ledger(url)
    fill(ledger, 1, 2)
    key = version_key(ledger.version("digits", 2))
    item = Collected(kind="versions", key=key)
    decisions = ledger.disposals.decisions()
    record = ledger.disposals.record_collection
    assert record([item], who="ada", decisions=decisions) == 1
    assert record([item], who="ada") == 2, "again"
    assert ledger.disposals.collected() == {key: item}
    with pytest.raises(PromotionError, match=r"deleted by `headrace gc`"):
        promote(ledger, 2)


def test_a_collection_that_was_planned_before_a_decision_is_refused(url):
    ledger = Ledger(url)
    fill(ledger, 1)
    decisions = ledger.disposals.decisions()
    ledger.add_version(a_version(2))
    item = Collected(kind="engines", key="engines/x")
    with pytest.raises(DependencyError, match="changed while"):
        ledger.disposals.record_collection([item], who="ada", decisions=decisions)
    assert ledger.disposals.collected() == {}
