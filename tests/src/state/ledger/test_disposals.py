"""The secret key of a ledger, by which forgotten items are marked."""

import pytest
from tests.src.state.ledger.conftest import run, url_of

from headrace.data.forgotten import ForgottenItems
from headrace.errors import IntegrityError
from headrace.state.ledger import Ledger

ITEM = "d" * 64


def forget(ledger, item=ITEM):
    known = ForgottenItems("", ledger.key())
    ledger.begin_forgetting("digits", "item", "ada", [known.mark_item(item)])
    return ForgottenItems.of(ledger)


def test_the_key_is_the_same_for_ever(ledger, tmp_path):
    key = ledger.key()
    assert ledger.key() == key != Ledger(f"sqlite:///{tmp_path}/new.db").key()
    forget(ledger)
    assert forget(ledger, "e" * 64).key == key
    assert ForgottenItems.of(ledger).has_items([ITEM]).all()


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
