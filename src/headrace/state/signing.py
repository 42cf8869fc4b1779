"""Signatures of files in the format of OpenSSF Model Signing.

The library model-signing makes and checks them with keys in files; its command line
does the same elsewhere, without Headrace.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, UsageError
from headrace.settings import Settings

_LIBRARIES = ("model_signing", "OpenSSL")
_MAKE = "Make one with `openssl ecparam -name prime256v1 -genkey -noout -out FILE`."
_MAKE_PUBLIC = "Make it with `openssl pkey -in PRIVATE -pubout -out FILE`."


def check_signing_key(settings: Settings) -> None:
    """Raise UsageError unless files can be signed with the key of the settings."""
    _signer(settings)


def sign_folder(folder: Path, settings: Settings) -> bytes:
    """The signature of all files of a folder.

    Raises:
        UsageError: no key is set, it cannot be used, or the library is not installed.
    """
    signer = _signer(settings)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        output = Path(place, "signature")
        signer.sign(folder, output)
        return output.read_bytes()


def check_signature(
    folder: Path, signature: bytes, what: str, settings: Settings
) -> None:
    """Check that the public key of the settings has signed the files of a folder.

    Args:
        folder: with the files that were signed, and no others.
        signature: as `sign_folder` made it.
        what: that is signed, for messages.
        settings: ``verify_key_file`` is the public key.

    Raises:
        IntegrityError: the signature is another key's, of other files, or damaged.
        UsageError: no key is set, it cannot be used, or the library is not installed.
    """
    _require_library()
    from model_signing import verifying

    verifier: Any = verifying.Config()  # type: ignore[no-untyped-call]
    file, name = settings.verify_key_file, "HEADRACE_VERIFY_KEY_FILE"
    key = _key_file(file, name, f"{what} cannot be checked", _MAKE_PUBLIC)
    try:
        verifier.use_elliptic_key_verifier(public_key=key)
    except (OSError, ValueError, AttributeError) as error:
        raise _unusable(key, name, error, _MAKE_PUBLIC) from None
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        stored = Path(place, "signature")
        stored.write_bytes(signature)
        try:
            verifier.verify(folder, stored)
        except Exception as error:  # of a damaged one, whatever its parser meets
            reason = str(error).strip().rstrip(".") or "it is not by this key"
            raise IntegrityError(
                f"The signature of {what} does not hold: {reason}.",
                f"Get the files and the signature again, or set {name} to the key of "
                "who signed them.",
            ) from None


def _signer(settings: Settings) -> Any:
    _require_library()
    from model_signing import signing

    file, name = settings.signing_key_file, "HEADRACE_SIGNING_KEY_FILE"
    key = _key_file(file, name, "Nothing can be signed", _MAKE)
    signer: Any = signing.Config()  # type: ignore[no-untyped-call]
    try:
        return signer.use_elliptic_key_signer(private_key=key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise _unusable(key, name, error, _MAKE) from None


def _require_library() -> None:
    if not all(importlib.util.find_spec(name) for name in _LIBRARIES):
        raise UsageError(
            "Signatures need the package model-signing, which is not installed.",
            "Install it: pip install 'headrace[sign]'.",
        )


def _key_file(file: str, name: str, problem: str, action: str) -> Path:
    if not file:
        raise UsageError(f"{problem}: no key is set.", f"Set {name}. {action}")
    return Path(file).expanduser()


def _unusable(key: Path, name: str, error: Exception, action: str) -> UsageError:
    """The error for a key; what a library says of it has no part of the key."""
    reason = getattr(error, "strerror", None) or "it is no elliptic-curve key in PEM"
    return UsageError(f"The key {key} ({name}) cannot be used: {reason}.", action)
