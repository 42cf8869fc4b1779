"""Signed statements on files, in the format of OpenSSF Model Signing.

A statement has the sha256 of each file of a folder. The library model-signing makes it,
and its command line checks it elsewhere. To read one needs neither the library nor the
files: it is a Sigstore bundle (version 0.3) with a DSSE envelope, whose payload is an
in-toto statement.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, UsageError
from headrace.state.signing.keys import SigningKey, TrustedKeys, decoded, named

EXTRA = "pip install 'headrace[sign]'"
_NAMES = ("model_signing", "OpenSSL")
_PAYLOAD = "application/vnd.in-toto+json"
_PREDICATE = "https://model_signing/signature/v1.0"


def can_sign() -> bool:
    """Whether the library that signs is installed."""
    return all(importlib.util.find_spec(name) is not None for name in _NAMES)


def sign_folder(folder: Path, key: SigningKey) -> bytes:
    """The signed statement on all files of a folder, without symbolic links.

    Raises:
        UsageError: model-signing is not installed.
    """
    if not can_sign():
        raise UsageError("Signing files needs the package model-signing.", EXTRA)
    from model_signing import hashing, signing

    hashed: Any = hashing.Config()  # type: ignore[no-untyped-call]
    config: Any = signing.Config()  # type: ignore[no-untyped-call]
    hashed.set_allow_symlinks(False)
    hashed.set_ignored_paths(paths=[], ignore_git_paths=False)
    config.set_hashing_config(hashed)
    with tempfile.TemporaryDirectory(prefix="headrace-") as place, _path(key) as path:
        output = Path(place) / "signature"
        config.use_elliptic_key_signer(private_key=path).sign(folder, output)
        return output.read_bytes()


@contextlib.contextmanager
def _path(key: SigningKey) -> Iterator[str]:
    """A path from which the private key can be read once; it is on no disk."""
    reading, writing = os.pipe()
    try:
        os.write(writing, key.private_pem())
        os.close(writing)
        yield f"/dev/fd/{reading}"
    finally:
        os.close(reading)


def key_of(signature: bytes) -> str:
    """The id of the key that a signed statement names; empty if it names none."""
    return _parsed(signature)[0]


def signed_files(signature: bytes, trusted: TrustedKeys, what: str) -> dict[str, str]:
    """The sha256 of each file of a signed statement, by its name.

    Args:
        signature: the content of the signature file.
        trusted: the keys whose signatures count.
        what: that is signed, for messages.

    Raises:
        IntegrityError: it is damaged, of another key, or does not fit its content.
    """
    key_id, payload, value = _parsed(signature)
    if not payload:
        raise IntegrityError(
            f"The signature of {what} is damaged.", "Sign it again, or restore it."
        )
    if key_id not in trusted:
        raise IntegrityError(
            f"{what} is signed by another key, {named(key_id)}.",
            "If you trust it, add its public key to HEADRACE_VERIFY_KEY_FILE.",
        )
    header = f"DSSEv1 {len(_PAYLOAD)} {_PAYLOAD} {len(payload)} ".encode()
    if not trusted.accept(key_id, value, header + payload):
        raise IntegrityError(
            f"The signature of {what} is not of this content: one of them was changed.",
            "Restore both from a backup.",
        )
    try:
        statement = json.loads(payload)
        if statement["predicateType"] != _PREDICATE:
            raise ValueError
        resources = statement["predicate"]["resources"]
        return {
            str(resource["name"]): str(resource["digest"])
            for resource in resources
            if resource["algorithm"] == "sha256"
        }
    except (KeyError, TypeError, ValueError):
        raise IntegrityError(
            f"The signature of {what} is not a statement on files.", "Sign it again."
        ) from None


def _parsed(signature: bytes) -> tuple[str, bytes, str]:
    """The key's id, the payload and its signature; empty where they are damaged."""
    try:
        bundle: dict[str, Any] = json.loads(signature)
        envelope = bundle["dsseEnvelope"]
        if envelope["payloadType"] != _PAYLOAD:
            return "", b"", ""
        payload = decoded(envelope["payload"])
        (signed,) = envelope["signatures"]
        hint = bundle["verificationMaterial"]["publicKey"]["hint"]
        return str(hint), payload, str(signed["sig"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return "", b"", ""
