"""Keys for signatures, in files of their own."""

import os

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace.settings import Settings
from headrace.state.signing.keys import trusted_keys


def private_pem(key, password=b""):
    """A private key, PEM."""
    encryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    kind = serialization.PrivateFormat.PKCS8
    pem = key.private_bytes(serialization.Encoding.PEM, kind, encryption)
    return pem


def public_pem(key):
    """The public key of a private one, PEM."""
    kind = serialization.PublicFormat.SubjectPublicKeyInfo
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, kind)
    return pem


def write_private(path, data, mode=0o600):
    """A file with a mode of its own."""
    path.write_bytes(data)
    os.chmod(path, mode)
    return path


def write_keys(folder, name="key"):
    """A new private key and its public key, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True)
    private = write_private(folder / f"{name}.pem", private_pem(key))
    public = folder / f"{name}.pub"
    public.write_bytes(public_pem(key))
    return private, public


def trust(*public):
    """The public keys in files."""
    text = "".join(path.read_text() for path in public)
    return trusted_keys(Settings(verify_key=text))
