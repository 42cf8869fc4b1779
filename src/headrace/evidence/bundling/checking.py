"""``headrace verify FILE``: a bundle is checked without a home and without a network.

It is unpacked into a temporary folder. Nothing of it is loaded or run.
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from headrace.errors import IntegrityError, NotFoundError
from headrace.evidence.bundling.archive import Digest, files_in, unpack, write_archive
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
from headrace.state.regular import file_digest
from headrace.state.signing import check_signature

_LARGEST_READ = 64 * 2**20  # of a file that is parsed; the others are only hashed
_AGAIN = "Get it again from where it was made."
log = logging.getLogger("headrace")

Signed = Literal["valid", "unsigned", "not checked"]


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
        with tempfile.TemporaryDirectory(prefix="headrace-") as place:
            folder = Path(place)
            with path.open("rb") as stream:
                unpack(stream, folder)
            files = files_in(folder)
            sizes = {name: file.stat().st_size for name, file in files.items()}
            manifest = _manifest(files)
            _compare(manifest, files, sizes)
            _check_content(manifest, files)
            name = f"{manifest.model}/{manifest.version}"
            sha256 = _same_archive(path, manifest, files)
            signature = _signature(folder, manifest, name, settings)
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
        checked={"files": len(sizes), "bytes": sum(sizes.values())},
        sha256=sha256,
    )


def _read(name: str, files: Mapping[str, Path]) -> bytes:
    """A file that is parsed; raises IntegrityError."""
    if name not in files:
        raise IntegrityError(f"{name} is missing.", _AGAIN)
    if (size := files[name].stat().st_size) > _LARGEST_READ:
        raise IntegrityError(
            f"{name} has {size:,} bytes; at most {_LARGEST_READ:,} are read.",
            "It is not what `headrace export --evidence` writes.",
        )
    return files[name].read_bytes()


def _manifest(files: Mapping[str, Path]) -> Manifest:
    text = _read(MANIFEST, files)
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(map(str, first["loc"])) or "its form"
        raise IntegrityError(
            f"{MANIFEST} cannot be read: {field}: {first['msg']}.",
            "It was changed, or a newer Headrace wrote it.",
        ) from None


def _compare(
    manifest: Manifest, files: Mapping[str, Path], sizes: Mapping[str, int]
) -> None:
    present = files.keys() - {MANIFEST, SIGNATURE}
    if missing := sorted(manifest.files.keys() - present):
        raise IntegrityError(f"{missing[0]} is missing.", _AGAIN)
    if added := sorted(present - manifest.files.keys()):
        raise IntegrityError(f"{added[0]} is not in {MANIFEST}.", _AGAIN)
    for name, facts in manifest.files.items():
        if (facts.sha256, facts.bytes) != (file_digest(files[name]), sizes[name]):
            raise IntegrityError(
                f"{name} was changed: it is not the file that {MANIFEST} has.", _AGAIN
            )


def _check_content(manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Raise IntegrityError unless model, evidence and bill are of one version."""
    listed = manifest.files
    for name, digest in (
        (MODEL, manifest.model_digest),
        (GOLDEN, manifest.golden_digest),
    ):
        if name not in listed or listed[name].sha256 != digest:
            raise IntegrityError(
                f"{name} is not the one that {MANIFEST} names.", _AGAIN
            )
    try:
        version = json.loads(_read(EVIDENCE, files))["version"]
        identity = tuple(version[name] for name in ("model", "version", "model_digest"))
        component = json.loads(_read(BILL, files))["metadata"]["component"]
        hashes = [entry["content"] for entry in component["hashes"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        raise IntegrityError(f"{EVIDENCE} or {BILL} cannot be read.", _AGAIN) from None
    if identity != (manifest.model, manifest.version, manifest.model_digest):
        raise IntegrityError(f"{EVIDENCE} is of another version.", _AGAIN)
    if hashes != [manifest.model_digest]:
        raise IntegrityError(f"{BILL} is of another model.", _AGAIN)


def _same_archive(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> str:
    """The sha256 of the archive, which is the one that these files make."""
    write_archive(anew := Digest(), f"{manifest.model}-{manifest.version}", files)
    if (sha256 := file_digest(path)) != anew.hex():
        raise IntegrityError(f"{path}: bytes between its files were changed.", _AGAIN)
    return sha256


def _signature(
    folder: Path, manifest: Manifest, name: str, settings: Settings
) -> Signed:
    """Check the signature of the files in a folder, if there is a key."""
    if (file := folder / SIGNATURE).is_file():
        if not settings.verify_key_file:
            return "not checked"
        signature = file.read_bytes()
        file.unlink()
        check_signature(folder, signature, f"the bundle of {name}", settings)
        return "valid"
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
    return "unsigned"


def _reason(name: str, signature: Signed) -> str:
    whole = f"{name} is as it was bundled"
    if signature == "valid":
        return f"{whole}, and signed by the key of HEADRACE_VERIFY_KEY_FILE"
    if signature == "not checked":
        return f"{whole}; it is signed, and no key was given to check that"
    return f"{whole}, and unsigned: whoever changed it could have written it anew"
