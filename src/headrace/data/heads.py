"""The last signed link of the ledger, kept in the store.

Whoever puts an older ledger in the place of the newer one leaves its chain whole, and
its signatures. The store, which has a login of its own, knows the newer link.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from pydantic import ValidationError

from headrace.state.home import Home
from headrace.state.ledger.chain import ChainReport
from headrace.state.ledger.signatures import SignatureReport, SignedLink
from headrace.state.signing.keys import TrustedKeys
from headrace.state.store import Store

KEY = "heads/ledger.json"
log = logging.getLogger("headrace")


class LedgerCheck(NamedTuple):
    """What was found of a ledger.

    Attributes:
        chain: what was found of its chain.
        signatures: of the chain's links.
        problem: the first mismatch; empty if there is none.
    """

    chain: ChainReport
    signatures: SignatureReport
    problem: str


def check_ledger(home: Home, trusted: TrustedKeys, head: str = "") -> LedgerCheck:
    """Check the chain of the ledger, its signatures, and that it is not an older one.

    Args:
        home: whose ledger it is.
        trusted: the keys whose signatures count; without any, none is checked.
        head: a link that the chain must still contain, or empty.

    Raises:
        DependencyError: the ledger or the store does not answer.
    """
    ledger = home.ledger
    chain = ledger.walk_chain(head)
    signatures = ledger.check_signatures(trusted)
    problem = chain.problem or signatures.problem
    if trusted and not problem:
        problem = _find_rollback(home, trusted)
    return LedgerCheck(chain, signatures, problem)


def remember_head(home: Home) -> None:
    """Keep the last signed link, if the ledger has one.

    A kept link that is not in the ledger stays: it shows that the ledger is older.

    Raises:
        DependencyError: the ledger or the store does not answer.
    """
    store = home.store
    link, problem = _stored_link(store)
    if problem or (link is not None and not home.ledger.has_link(link)):
        log.warning("the ledger is not as it was signed: see `headrace verify`")
    elif head := home.ledger.signed_head():
        store.write_json(KEY, head.model_dump())


def _find_rollback(home: Home, trusted: TrustedKeys) -> str:
    """Why the ledger is older than the link that the store has; empty if it is not."""
    store = home.store
    link, problem = _stored_link(store)
    if link is None or home.ledger.has_link(link):
        return problem
    if not link.is_accepted(trusted):
        return f"{store.uri(KEY)} was changed, or another key has signed it"
    return (
        f"link {link.number}, which was signed and is kept in {store.uri(KEY)}, is not "
        "in its chain: an older ledger was put in its place"
    )


def _stored_link(store: Store) -> tuple[SignedLink | None, str]:
    """The link that the store has, and why it cannot be read."""
    try:
        return SignedLink.model_validate_json(store.read(KEY)), ""
    except FileNotFoundError:
        return None, ""
    except ValidationError:
        return None, f"{store.uri(KEY)} was changed: it is not a signed link"
