"""Versions with a signature: ``[promotion] signed = true``.

A promotion signs the files of the logged model; a rollback to the version, and whoever
gets it, checks the signature with the public key.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import IntegrityError
from headrace.models.logged.soundness.copies import LOGGED, fetch_copy
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
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
