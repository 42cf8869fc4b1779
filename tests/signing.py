"""Keys for signatures, in files of their own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace.settings import Settings
from headrace.state.signing.keys import TrustedKeys, trusted_keys


def private_pem(key: Any, password: bytes = b"") -> bytes:
    """A private key, PEM."""
    encryption: Any = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    kind = serialization.PrivateFormat.PKCS8
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, kind, encryption)
    return pem


def public_pem(key: Any) -> bytes:
    """The public key of a private one, PEM."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    pem: bytes = key.public_key().public_bytes(serialization.Encoding.PEM, kind)
    return pem


def write_private(path: Path, data: bytes, mode: int = 0o600) -> Path:
    """A file with a mode of its own."""
    path.write_bytes(data)
    os.chmod(path, mode)
    return path


def write_keys(folder: Path, name: str = "key") -> tuple[Path, Path]:
    """A new private key and its public key, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True)
    private = write_private(folder / f"{name}.pem", private_pem(key))
    public = folder / f"{name}.pub"
    public.write_bytes(public_pem(key))
    return private, public


def trust(*public: Path) -> TrustedKeys:
    """The public keys in files."""
    text = "".join(path.read_text() for path in public)
    return trusted_keys(Settings(verify_key=text))
