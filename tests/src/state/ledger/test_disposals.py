"""The key of a ledger: the store, which has a copy of the rows, does not have it."""

import pytest
from tests.attacks.test_ledger import run
from tests.src.state.ledger.conftest import url_of

from headrace.data.forgotten import ForgottenItems
from headrace.errors import IntegrityError
from headrace.state.copying import copy_ledger
from headrace.state.ledger import Ledger
from headrace.state.ledger.copies import LedgerCopy
from headrace.state.store import Store

ITEM = "d" * 64


def forget(ledger, item=ITEM):
    known = ForgottenItems("", ledger.key())
    ledger.begin_forgetting("digits", "item", "ada", [known.mark_item(item)])
    return ForgottenItems.of(ledger)


def test_the_copy_in_the_store_has_not_the_key_to_test_a_guess(ledger, tmp_path):
    forgotten = forget(ledger)
    assert forgotten.has_items([ITEM, "e" * 64]).tolist() == [True, False]
    store = Store(str(tmp_path / "store"))
    assert LedgerCopy(url_of(tmp_path), store).keep() == 2
    copied = b"".join(map(store.read, store.keys()))
    assert next(iter(forgotten.marks)).encode() in copied
    assert forgotten.key.encode() not in copied


def test_the_key_is_the_same_for_ever_and_moves_with_the_ledger(ledger, tmp_path):
    key = ledger.key()
    assert ledger.key() == key != Ledger(f"sqlite:///{tmp_path}/new.db").key()
    forget(ledger)
    assert forget(ledger, "e" * 64).key == key
    target = f"sqlite:///{tmp_path}/other.db"
    copy_ledger(url_of(tmp_path), target)
    assert ForgottenItems.of(Ledger(target)).has_items([ITEM]).all()
    assert Ledger(target).walk_chain().problem == ""


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE ledger_key",
        "DELETE FROM ledger_key",
        "UPDATE ledger_key SET key='00'",
    ],
)
def test_another_key_or_none_is_noticed(ledger, tmp_path, statement):
    forget(ledger)
    run(url_of(tmp_path), statement)
    with pytest.raises(IntegrityError, match="gone or another one: what was forgotten"):
        ForgottenItems.of(ledger)
