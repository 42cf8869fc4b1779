"""Promotion where the law wants a signature: ``[promotion] signed = true``.

A version has it if the ledger's chain is whole and each link is signed by a key that
counts, and so are the version's files.
"""

from __future__ import annotations

from headrace.errors import IntegrityError
from headrace.models.logged.soundness.signing import find_signature_flaw
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.signing.keys import trusted_keys


def is_wanted(version: Version, ledger: Ledger) -> bool:
    """Whether the law of the model's newest version, or of this one, says so."""
    rows = (
        ledger.newest_evidence(version.model),
        ledger.standing_evidence(version.model, version.version),
    )
    laws = [row.law.get("committed", {}) for row in rows if row is not None]
    return any(law.get("promotion", {}).get("signed") for law in laws)


def find_flaw(version: Version, home: Home) -> str:
    """Why a version counts as unsigned, in one sentence; empty if it is signed.

    Raises:
        UsageError: a key of the settings cannot be used.
        DependencyError: the ledger or the store does not answer.
    """
    trusted = trusted_keys(home.settings)
    return find_signature_flaw(version, home, trusted)


def require_signed(version: Version, home: Home) -> None:
    """Raise IntegrityError if the law wants a signature and the version has none."""
    if not is_wanted(version, home.ledger):
        return
    if flaw := find_flaw(version, home):
        raise IntegrityError(
            f"The pipeline file of {version.model} wants a signed version "
            f"(promotion.signed). {flaw}",
            f"Run `headrace verify {version.model}`. With a signing key, `headrace "
            f"repair {version.model}/{version.version}` signs a version that is sound.",
        )
