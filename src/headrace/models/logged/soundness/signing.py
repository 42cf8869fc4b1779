"""The signature of a version's files: made at registration, checked before promotion.

It is a statement on the store's copy of the logged model and its golden file, in the
format of OpenSSF Model Signing.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import IntegrityError
from headrace.models.logged.soundness.copies import copied_files, fetch_copy
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.signing.keys import TrustedKeys, signing_key, trusted_keys
from headrace.state.signing.statements import sign_folder, signed_files

log = logging.getLogger("headrace")


def sign_version(version: Version, home: Home) -> bool:
    """Sign a version's files, if there is a key and no signature that counts.

    Args:
        version: as it is bound.
        home: its settings have the key.

    Returns:
        whether it was signed now. If the store's copy of the files is gone or changed,
        it is not, and the log says so.

    Raises:
        DependencyError: the store or the ledger does not answer.
    """
    key = signing_key(home.settings)
    if key is None or not find_signature_flaw(version, home):
        return False
    try:
        with _copy(version, home) as folder:
            signature = sign_folder(folder, key)
    except IntegrityError as error:
        log.warning("%s is not signed: %s", version, error)
        return False
    home.anchored.write(signature_key(version), signature)
    log.info("%s: signed with the key %s", version, key.id[:12])
    return True


def find_signature_flaw(
    version: Version, home: Home, trusted: TrustedKeys | None = None
) -> str:
    """Why a version counts as unsigned; empty if its signature counts.

    The files themselves are not read: their digests in the ledger must be the signed
    ones.

    Args:
        trusted: by default the keys of the settings.
    """
    trusted = trusted_keys(home.settings) if trusted is None else trusted
    if not trusted:
        return (
            f"{version} cannot be checked: no key is set whose signature would count. "
            "Set HEADRACE_VERIFY_KEY_FILE."
        )
    signature = read_signature(version, home)
    if signature is None:
        return f"{version} is not signed."
    try:
        signed = signed_files(signature, trusted, str(version))
    except IntegrityError as error:
        return str(error)
    wanted = copied_files(version)
    if signed == wanted:
        return ""
    names = sorted(signed.items() ^ wanted.items())
    return f"{version} is signed with another content of {names[0][0]}."


def read_signature(version: Version, home: Home) -> bytes | None:
    """The signature of a version's files, unchecked; None if there is none."""
    return home.anchored.read(signature_key(version))


@contextlib.contextmanager
def _copy(version: Version, home: Home) -> Iterator[Path]:
    """The store's copy of a version's files in a local folder, each checked."""
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        folder = Path(place) / f"{version.model}-{version.version}"
        fetch_copy(version, folder, home.store)
        yield folder


def signature_key(version: Version) -> str:
    """The key in the store of the signature of a version's files."""
    return f"signatures/{version.model_digest}.sig"
