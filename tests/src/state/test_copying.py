"""A ledger that is copied stays the same ledger."""

from tests.src.state.ledger.conftest import a_version, fill

from headrace.state.copying import copy_ledger
from headrace.state.ledger import Ledger
from headrace.state.ledger.leases import Leases


def test_a_copy_has_the_rows_and_the_identity(tmp_path):
    source, target = (f"sqlite:///{tmp_path}/{name}.db" for name in ("old", "new"))
    fill(Ledger(source), 1, 2)
    identity = Leases(source).identity()
    copy_ledger(source, target)
    assert Leases(target).identity() == identity
    Ledger(source).add_version(a_version(3))
    copy_ledger(source, target)
    assert Leases(target).identity() == identity
    assert len(Ledger(target).versions("digits")) == 3


def test_a_ledger_that_nobody_has_asked_for_its_identity_is_copied(tmp_path):
    source, target = (f"sqlite:///{tmp_path}/{name}.db" for name in ("old", "new"))
    fill(Ledger(source), 1)
    copy_ledger(source, target)
    assert Leases(target).identity()
