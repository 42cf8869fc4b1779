"""What the law asks of a promotion beside gates: a signature, and certain licences.

With ``[promotion] signed = true``, a promotion signs the files of the logged model; a
rollback to the version, and whoever gets it, checks the signature with the public key.

``licence = ["Apache-2.0", "MIT"]`` names the licences that a backbone may have. What
the store says of the backbone now counts, so that a licence can be given after the
training.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from headrace.errors import IntegrityError, PromotionError
from headrace.models.logged.copies import LOGGED, fetch_copy
from headrace.state import backbones
from headrace.state.home import Home
from headrace.state.ledger import Evidence, Ledger, Version
from headrace.state.signing import check_signature, sign_folder

log = logging.getLogger("headrace")


def is_wanted(version: Version, ledger: Ledger) -> bool:
    """Whether the file of the model's newest version, or of this one, says so."""
    rows = (
        ledger.newest_evidence(version.model),
        ledger.standing_evidence(version.model, version.version),
    )
    laws = [row.law.get("committed", {}) for row in rows if row is not None]
    return any(law.get("promotion", {}).get("signed") for law in laws)


def sign_if_wanted(version: Version, home: Home) -> None:
    """Sign a version that is about to be promoted, if its file says so.

    One that is signed already is left as it is, and needs no key.

    Raises:
        UsageError: it cannot be signed with the settings.
        IntegrityError: the store's copy of its files is gone or changed.
    """
    key = _signature_key(version)
    if not is_wanted(version, home.ledger) or home.store.find(key) is not None:
        return
    with _files(version, home) as folder:
        home.store.write(key, sign_folder(folder, home.settings))
    log.info("%s: signed", version)


def require_signed(version: Version, home: Home) -> None:
    """Check the signature of a version, if its file wants one.

    Raises:
        UsageError: no public key is set, or it cannot be used.
        IntegrityError: it has no signature, or not one of this key and these files.
    """
    if not is_wanted(version, home.ledger):
        return
    signature = home.store.find(_signature_key(version))
    if signature is None:
        raise IntegrityError(
            f"The pipeline file of {version.model} wants a signed version "
            f"(promotion.signed), and {version} is not signed.",
            f"Run `headrace promote {version.model} {version.version}`, which signs "
            "it.",
        )
    with _files(version, home) as folder:
        check_signature(folder, signature, str(version), home.settings)


@contextlib.contextmanager
def _files(version: Version, home: Home) -> Iterator[Path]:
    """The logged model in a local folder, from the store's copy, each file checked."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        fetch_copy(version, Path(place), home.store)
        yield Path(place, LOGGED)


def _signature_key(version: Version) -> str:
    """The key in the store of the signature of a version's files."""
    return f"signatures/{version.model_digest}.sig"


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
