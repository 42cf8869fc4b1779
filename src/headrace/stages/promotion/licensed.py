"""Promotion where the law says which licences a backbone may have.

That is ``[promotion] licence = ["Apache-2.0", "MIT"]``. What the store says of the
backbone now counts, so that a licence can be given after the training.
"""

from __future__ import annotations

from collections.abc import Collection

from headrace.errors import PromotionError
from headrace.state import backbones
from headrace.state.home import Home
from headrace.state.ledger import Evidence, Version


def find_flaw(version: Version, allowed: Collection[str], home: Home) -> str:
    """Why a version's backbone is not allowed, in one sentence; empty if it is.

    Args:
        version: its row in the ledger.
        allowed: the licences; without any, each is.
        home: with the store.
    """
    backbone = backbones.of_version(version, home) if allowed else None
    if backbone is None or backbone.licence in allowed:
        return ""
    licence = backbone.licence
    states = f"has the licence {licence}" if licence else "states no licence"
    return (
        f"the backbone {backbone.name} {states}, and promotion.licence allows "
        f"{', '.join(sorted(allowed))}"
    )


def require_licensed(version: Version, evidence: Evidence, home: Home) -> None:
    """Raise PromotionError if the law allows other licences than a backbone has."""
    law = evidence.law.get("committed", {}).get("promotion", {})
    if flaw := find_flaw(version, law.get("licence", ()), home):
        raise PromotionError(
            f"Version {version.version} of {version.model} cannot be promoted: {flaw}.",
            "Train with another backbone; or, if you know its licence, say so with "
            "`headrace backbone add NAME SOURCE --licence SPDX`.",
        )
