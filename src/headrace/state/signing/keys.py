"""The private key that signs, and the public keys whose signatures count.

A message never has a key, or what a variable for a key holds.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.errors import UsageError
from headrace.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

SHORT = 12  # characters of a key's id in messages
_CURVE = "secp256r1"
_PEM = re.compile(rb"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)
_MAKE = (
    "Make one with `openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 "
    "-topk8 -nocrypt -out FILE`."
)
_MAKE_PUBLIC = "Make it with `openssl pkey -in PRIVATE -pubout -out FILE`."


class SigningKey:
    """A private key.

    Attributes:
        id: sha256 of its public key in PEM, hex; model-signing records the same.
        public: its public key, PEM.
    """

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private
        self.public = _pem(private.public_key())
        self.id = hashlib.sha256(self.public).hexdigest()

    def sign(self, data: bytes) -> str:
        """The signature of some bytes, DER in base64."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        signature = self._private.sign(data, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode()

    def private_pem(self) -> bytes:
        """The private key, PEM, not encrypted: only for what signs in this process."""
        from cryptography.hazmat.primitives import serialization

        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def decoded(text: str) -> bytes:
    """The bytes of a text in base64, written in the one way that `sign` writes it.

    Base64 leaves some bits of the last character unused, so several texts stand for the
    same bytes: all but one were changed by somebody.

    Raises:
        ValueError: it is not base64, or another spelling of its bytes.
    """
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError(text)
    return data


class TrustedKeys:
    """The public keys whose signatures count, by their ids."""

    def __init__(self, keys: Mapping[str, ec.EllipticCurvePublicKey]) -> None:
        self._keys = keys

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._keys

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids, sorted."""
        return tuple(sorted(self._keys))

    def accept(self, key_id: str, signature: str, data: bytes) -> bool:
        """Whether one of the keys has made a signature of some bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        if key_id not in self._keys:
            return False
        try:
            raw = decoded(signature)
            self._keys[key_id].verify(raw, data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


def signing_key(settings: Settings) -> SigningKey | None:
    """The private key of the settings; None if there is none.

    Raises:
        UsageError: it cannot be used; the message says why.
    """
    text, file = settings.signing_key.get_secret_value(), settings.signing_key_file
    return _signing_key(text, file, _state_of(file) if not text else ())


def trusted_keys(settings: Settings, file: str = "") -> TrustedKeys:
    """The public keys whose signatures count.

    Args:
        settings: with the keys, that of the signing key included.
        file: public keys, PEM, in place of those of the settings.

    Raises:
        UsageError: one of them cannot be used; the message says why.
    """
    if file:
        return TrustedKeys(_public_keys(_read(file, "--key", _MAKE_PUBLIC), file))
    keys: dict[str, ec.EllipticCurvePublicKey] = {}
    if own := signing_key(settings):
        keys |= _public_keys(own.public, "HEADRACE_SIGNING_KEY")
    if settings.verify_key:
        text = settings.verify_key.replace("\\n", "\n").encode()
        keys |= _public_keys(text, "HEADRACE_VERIFY_KEY")
    if place := settings.verify_key_file:
        data = _read(place, "HEADRACE_VERIFY_KEY_FILE", _MAKE_PUBLIC)
        keys |= _public_keys(data, place)
    return TrustedKeys(keys)


def named(key_id: str) -> str:
    """The id of a key in messages."""
    return f"{key_id[:SHORT]}..." if len(key_id) > SHORT else key_id or "without an id"


def _state_of(file: str) -> tuple[object, ...]:
    """What changes when a file does, so that a new key is read again."""
    try:
        status = Path(file).expanduser().stat() if file else None
    except (OSError, ValueError):
        return ()
    return (status.st_ino, status.st_mtime_ns, status.st_mode) if status else ()


@functools.lru_cache(maxsize=8)
def _signing_key(text: str, file: str, _state: tuple[object, ...]) -> SigningKey | None:
    if text:
        return SigningKey(_private_key(text.replace("\\n", "\n").encode(), "", _MAKE))
    if not file:
        return None
    name = "HEADRACE_SIGNING_KEY_FILE"
    data = _read(file, name, _MAKE, is_private=True)
    return SigningKey(_private_key(data, file, _MAKE))


def _read(file: str, name: str, action: str, *, is_private: bool = False) -> bytes:
    """The content of a file with keys."""
    if "-----BEGIN" in file:
        raise UsageError(
            f"{name} has a key, and takes the path of a file.",
            f"Write the key into a file, or set {name.removesuffix('_FILE')}.",
        )
    path = Path(file).expanduser()
    try:
        with path.open("rb") as opened:
            status = os.fstat(opened.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{path} ({name}) is not a regular file.", action)
            if is_private:
                _check_access(path, status)
            return opened.read(2**16)
    except OSError as error:
        message = f"{path} ({name}) cannot be read: {error.strerror}."
        raise UsageError(message, action) from None


def _check_access(path: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise UsageError(
            f"Others than you can access the signing key {path} (mode {mode:04o}).",
            f"Run `chmod 600 {path}`.",
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise UsageError(
            f"The signing key {path} belongs to another user.", "Use one of your own."
        )


def _private_key(data: bytes, file: str, action: str) -> ec.EllipticCurvePrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    what = f"The signing key {file}" if file else "HEADRACE_SIGNING_KEY"
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise UsageError(
            f"{what} is encrypted.",
            "Decrypt it: `openssl pkcs8 -topk8 -nocrypt -in KEY -out FILE`.",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        message = f"{what} is not a private key in PEM, or is damaged."
        raise UsageError(message, action) from None
    private: ec.EllipticCurvePrivateKey = _on_curve(key, what, action)
    return private


def _public_keys(data: bytes, place: str) -> dict[str, ec.EllipticCurvePublicKey]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    if b"PRIVATE KEY" in data:
        raise UsageError(
            f"{place} has a private key, and public ones are expected.", _MAKE_PUBLIC
        )
    keys: dict[str, ec.EllipticCurvePublicKey] = {}
    for text in _PEM.findall(data):
        try:
            key = serialization.load_pem_public_key(text)
        except (ValueError, UnsupportedAlgorithm):
            keys.clear()
            break
        public = _on_curve(key, f"A key in {place}", _MAKE_PUBLIC)
        keys[hashlib.sha256(_pem(public)).hexdigest()] = public
    if not keys:
        message = f"{place} has no public key in PEM, or a damaged one."
        raise UsageError(message, _MAKE_PUBLIC)
    return keys


def _on_curve(key: Any, what: str, action: str) -> Any:
    """The key, if it is one of P-256."""
    curve = getattr(getattr(key, "curve", None), "name", "")
    if curve != _CURVE:
        kind = f"of the curve {curve}" if curve else "not one of an elliptic curve"
        raise UsageError(f"{what} is {kind}; ECDSA P-256 is expected.", action)
    return key


def _pem(public: ec.EllipticCurvePublicKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
