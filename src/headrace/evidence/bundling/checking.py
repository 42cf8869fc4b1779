"""``headrace verify FILE``: a bundle is checked without a home and without a network.

It is unpacked into a temporary folder. Nothing of it is loaded or run.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

from pydantic import ValidationError

from headrace.errors import IntegrityError, NotFoundError
from headrace.evidence.bundling.archive import (
    AGAIN,
    MANIFEST,
    SIGNATURE,
    Manifest,
    files_in,
    unpack,
    write_archive,
)
from headrace.records import Record, Shown
from headrace.settings import Settings
from headrace.state.regular import file_digest, read_file
from headrace.state.signing import check_signature

_LARGEST_MANIFEST = 64 * 2**20

Signed = Literal["valid", "unsigned", "not checked"]
_REASONS: Mapping[Signed, str] = {
    "valid": ", and signed by the key of HEADRACE_VERIFY_KEY_FILE",
    "not checked": "; it is signed, and no key was given to check that",
    "unsigned": ", and unsigned: whoever changed it could have written it anew",
}


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
            return _check(path, unpack(path, Path(place)), settings)
    except IntegrityError as error:
        return BundleCheck(status="broken", reason=str(error), file=str(path))
    except OSError as error:
        raise NotFoundError(
            f"{path} cannot be read: {error.strerror}.",
            "Give a file that `headrace export --evidence` wrote.",
        ) from None


def _check(path: Path, folder: Path, settings: Settings) -> BundleCheck:
    """Compare an archive with what was unpacked; raises IntegrityError."""
    manifest, files = _manifest(folder / MANIFEST), files_in(folder)
    name = f"{manifest.model}/{manifest.version}"
    _compare(manifest.files, files)
    checked = {
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files.values()),
    }
    sha = hashlib.sha256()  # of the archive that these files make
    anew = SimpleNamespace(write=sha.update)
    write_archive(anew, f"{manifest.model}-{manifest.version}", folder)
    if (sha256 := file_digest(path)) != sha.hexdigest():
        raise IntegrityError(f"{path}: bytes between its files were changed.", AGAIN)
    signature = _signature(folder, name, settings)
    return BundleCheck(
        status="ok",
        reason=f"{name} is as it was bundled{_REASONS[signature]}",
        file=str(path),
        model=manifest.model,
        version=manifest.version,
        signature=signature,
        checked=checked,
        sha256=sha256,
    )


def _manifest(file: Path) -> Manifest:
    try:
        return Manifest.model_validate_json(read_file(file, _LARGEST_MANIFEST))
    except FileNotFoundError:
        raise IntegrityError(f"{MANIFEST} is missing or too large.", AGAIN) from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise IntegrityError(
            f"{MANIFEST} cannot be read: {'.'.join(map(str, first['loc']))}: "
            f"{first['msg']}.",
            "It was changed, or another Headrace wrote it.",
        ) from None


def _compare(listed: Mapping[str, str], files: Mapping[str, Path]) -> None:
    """Raise IntegrityError unless the files are those of the manifest."""
    present = files.keys() - {MANIFEST, SIGNATURE}
    if missing := sorted(listed.keys() - present):
        raise IntegrityError(f"{missing[0]} is missing.", AGAIN)
    if added := sorted(present - listed.keys()):
        raise IntegrityError(f"{added[0]} is not in {MANIFEST}.", AGAIN)
    for name, sha256 in listed.items():
        if file_digest(files[name]) != sha256:
            raise IntegrityError(
                f"{name} was changed: it is not the file that {MANIFEST} has.", AGAIN
            )


def _signature(folder: Path, name: str, settings: Settings) -> Signed:
    """Check the signature of the files in a folder, if there is a key."""
    file = folder / SIGNATURE
    if not settings.verify_key_file:
        return "not checked" if file.exists() else "unsigned"
    if not file.exists():
        raise IntegrityError(
            f"{name} is unsigned, and HEADRACE_VERIFY_KEY_FILE has a key.",
            "Ask for a signed bundle, or check it without a key.",
        )
    signature = file.read_bytes()
    file.unlink()
    check_signature(folder, signature, f"the bundle of {name}", settings)
    return "valid"
