"""``headrace verify FILE``: a bundle is checked without a home and without a network.

Nothing of it is loaded or run. With a key it is unpacked into a temporary folder, for
the library that checks the signature.
"""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import ValidationError

from headrace.errors import IntegrityError, NotFoundError
from headrace.evidence.bundling.archive import read_archive
from headrace.evidence.bundling.manifest import (
    BILL,
    EVIDENCE,
    GOLDEN,
    MANIFEST,
    MODEL,
    SIGNATURE,
    Manifest,
)
from headrace.records import Record, Shown
from headrace.settings import Settings
from headrace.state.signing import check_signature

_LARGEST_READ = 64 * 2**20  # of a file that is parsed; the others are only hashed
_PARSED = (MANIFEST, EVIDENCE, BILL)
_AGAIN = "Get it again from where it was made."
log = logging.getLogger("headrace")

Signed = Literal["valid", "unsigned", "not checked"]
_UNSIGNED: Signed = "unsigned"


class BundleCheck(Record):
    """The result of checking a bundle.

    Attributes:
        reason: one sentence.
        signature: of the whole; ``not checked`` if no key was given.
        checked: number of files and bytes.
        sha256: of the file.
    """

    status: Literal["ok", "broken"]
    reason: Shown
    file: str
    model: str | None = None
    version: int | None = None
    signature: Signed = "unsigned"
    checked: Mapping[str, int] = {}
    sha256: str = ""


def check_bundle(path: Path, settings: Settings) -> BundleCheck:
    """Check every byte of a bundle, and its signature where there is a key.

    Args:
        path: the file.
        settings: with a ``verify_key_file``, an unsigned bundle is broken.

    Raises:
        NotFoundError: the file cannot be read.
        UsageError: the key cannot be used.
    """
    try:
        digests, sizes, texts = _read(path)
        manifest = _manifest(texts)
        _compare(manifest, digests, sizes)
        _check_content(manifest, texts)
        name, signature = f"{manifest.model}/{manifest.version}", _UNSIGNED
        if SIGNATURE in digests:
            signature = _signature(path, name, settings)
        else:
            _refuse_unsigned(manifest, name, settings)
    except IntegrityError as error:
        return BundleCheck(status="broken", reason=str(error), file=str(path))
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read: {error.strerror}.",
            "Give a file that `headrace export --evidence` wrote.",
        ) from None
    return BundleCheck(
        status="ok",
        reason=_reason(name, signature),
        file=str(path),
        model=manifest.model,
        version=manifest.version,
        signature=signature,
        checked={"files": len(digests), "bytes": sum(sizes.values())},
        sha256=_digest(path),
    )


def _read(path: Path) -> tuple[dict[str, str], dict[str, int], dict[str, bytes]]:
    """The sha256 and the size of each file, and the content of those to parse."""
    digests, sizes, texts = dict[str, str](), dict[str, int](), dict[str, bytes]()
    with path.open("rb") as stream:
        for member in read_archive(stream):
            if member.name in _PARSED:
                texts[member.name] = member.read(_LARGEST_READ)
            else:
                for _ in member.parts():
                    pass
            digests[member.name] = member.sha256
            sizes[member.name] = member.size
    return digests, sizes, texts


def _manifest(texts: dict[str, bytes]) -> Manifest:
    if MANIFEST not in texts:
        raise IntegrityError(f"{MANIFEST} is missing.", _AGAIN)
    try:
        return Manifest.model_validate_json(texts[MANIFEST])
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "its form"
        raise IntegrityError(
            f"{MANIFEST} cannot be read: {field}: {first['msg']}.",
            "It was changed, or a newer Headrace wrote it.",
        ) from None


def _compare(
    manifest: Manifest, digests: dict[str, str], sizes: dict[str, int]
) -> None:
    present = digests.keys() - {MANIFEST, SIGNATURE}
    if missing := sorted(manifest.files.keys() - present):
        raise IntegrityError(f"{missing[0]} is missing.", _AGAIN)
    if added := sorted(present - manifest.files.keys()):
        raise IntegrityError(f"{added[0]} is not in {MANIFEST}.", _AGAIN)
    for name, facts in manifest.files.items():
        if (facts.sha256, facts.bytes) != (digests[name], sizes[name]):
            raise IntegrityError(
                f"{name} was changed: it is not the file that {MANIFEST} has.", _AGAIN
            )


def _check_content(manifest: Manifest, texts: dict[str, bytes]) -> None:
    """Raise IntegrityError unless model, evidence and bill are of one version."""
    files = manifest.files
    for name, digest in (
        (MODEL, manifest.model_digest),
        (GOLDEN, manifest.golden_digest),
    ):
        if name not in files or files[name].sha256 != digest:
            raise IntegrityError(
                f"{name} is not the one that {MANIFEST} names.", _AGAIN
            )
    try:
        version = json.loads(texts[EVIDENCE])["version"]
        identity = tuple(version[name] for name in ("model", "version", "model_digest"))
        component = json.loads(texts[BILL])["metadata"]["component"]
        hashes = [entry["content"] for entry in component["hashes"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise IntegrityError(f"{EVIDENCE} or {BILL} cannot be read.", _AGAIN) from None
    if identity != (manifest.model, manifest.version, manifest.model_digest):
        raise IntegrityError(f"{EVIDENCE} is of another version.", _AGAIN)
    if hashes != [manifest.model_digest]:
        raise IntegrityError(f"{BILL} is of another model.", _AGAIN)


def _signature(path: Path, name: str, settings: Settings) -> Signed:
    """Check the signature of a bundle that has one, if there is a key."""
    if not settings.verify_key_file:
        return "not checked"
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        signature = b""
        with path.open("rb") as stream:
            for member in read_archive(stream):
                if member.name == SIGNATURE:
                    signature = member.read(_LARGEST_READ)
                    continue
                file = Path(place) / PurePosixPath(member.name)
                file.parent.mkdir(parents=True, exist_ok=True)
                with file.open("xb") as written:
                    written.writelines(member.parts())
        check_signature(Path(place), signature, f"the bundle of {name}", settings)
    return "valid"


def _refuse_unsigned(manifest: Manifest, name: str, settings: Settings) -> None:
    if settings.verify_key_file:
        raise IntegrityError(
            f"{name} is unsigned, and HEADRACE_VERIFY_KEY_FILE has a key.",
            "Ask for a signed bundle, or check it without a key.",
        )
    if manifest.must_be_signed:
        raise IntegrityError(
            f"{name} is unsigned, and its pipeline file wants a signature "
            "(promotion.signed).",
            "Ask for a signed bundle.",
        )


def _reason(name: str, signature: Signed) -> str:
    whole = f"{name} is as it was bundled"
    if signature == "valid":
        return f"{whole}, and signed by the key of HEADRACE_VERIFY_KEY_FILE"
    if signature == "not checked":
        return f"{whole}; it is signed, and no key was given to check that"
    return f"{whole}, and unsigned: whoever changed it could have written it anew"


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
