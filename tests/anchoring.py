"""A store with a ledger of its own, for tests of what is kept in it."""

from pathlib import Path

from headrace.state.anchored import AnchoredStore
from headrace.state.ledger import Ledger
from headrace.state.store import Store


def anchored_at(place):
    """The store in a folder, which is made, and its ledger beside it."""
    Path(place).mkdir(parents=True, exist_ok=True)
    ledger = Path(f"{place}.db").absolute()
    return AnchoredStore(Store(str(place)), Ledger(f"sqlite:///{ledger}"))
