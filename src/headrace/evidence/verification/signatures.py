"""Checks the signatures of the ledger and of the versions' files."""

from __future__ import annotations

from headrace.data.heads import find_rollback
from headrace.models.logged.soundness.signing import (
    find_signature_flaw,
    signature_key,
)
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.ledger import Ledger, Version
from headrace.state.signing.keys import TrustedKeys


class Signatures(Record):
    """What was found of signatures.

    Attributes:
        status: ``checked`` by the keys; ``unsigned``, there are none, and no key is
            set; ``not checked``, there are some, and no key is set.
        keys: the ids of the keys that count.
        links: number of signed links of the ledger's chain.
        first: the number of the first of them; 0 if there is none. The rows before it
            were added without a key, and are covered by it.
    """

    status: str
    keys: tuple[str, ...]
    links: int
    first: int


def check_ledger(
    settings: Settings, ledger: Ledger, trusted: TrustedKeys
) -> tuple[Signatures, str]:
    """Check the signatures of the chain, which must be whole.

    Returns:
        what was found, and the first mismatch; empty if there is none.
    """
    report = ledger.check_signatures(trusted)
    status = "not checked" if report.links else "unsigned"
    found = Signatures(
        status="checked" if trusted else status,
        keys=trusted.ids,
        links=report.links,
        first=report.first,
    )
    problem = report.problem
    if trusted and not problem:
        problem = find_rollback(settings, ledger, trusted)
    return found, problem


def check_signature(
    version: Version, settings: Settings, ledger: Ledger, trusted: TrustedKeys
) -> str:
    """What is wrong with the signature of a version's files; empty if nothing is.

    A version of the time before there was a key has none, and needs none.
    """
    if not ledger.anchors([signature_key(version)]):
        return ""
    return find_signature_flaw(version, settings, ledger, trusted)
