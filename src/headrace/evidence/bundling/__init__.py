"""``headrace export --evidence``: a version with all that proves it, in one file.

The file is checked elsewhere by ``headrace verify FILE``, without a home. What is in it
was compared with the ledger; equal records give equal bytes, but for a signature.
"""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, UsageError
from headrace.evidence.bundling.archive import files_in, write_archive
from headrace.evidence.bundling.manifest import SIGNATURE
from headrace.evidence.bundling.packing import pack
from headrace.records import Record
from headrace.settings import Settings
from headrace.stages.promotion.signed import is_wanted
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.home import Home
from headrace.state.ledger.disposals import collected_error
from headrace.state.regular import file_digest
from headrace.state.signing import check_signing_key, sign_folder


class Bundled(Record):
    """What was written.

    Attributes:
        output: the file.
        bytes: its size.
        sha256: of the file.
        files: sha256 by name, of what is in it.
        engines: the names of the engines in it.
        is_signed: whether its signature is in it.
    """

    model: str
    version: int
    status: str = "ok"
    output: str
    bytes: int
    sha256: str
    files: Mapping[str, str]
    engines: tuple[str, ...]
    is_signed: bool


def bundle(name: str, output: Path, settings: Settings) -> Bundled:
    """Write a version and its proofs to a new file, as a whole or not at all.

    Args:
        name: ``MODEL`` or ``MODEL@champion`` for its champion, or ``MODEL/VERSION``.
        output: the file, a tar archive; it must not exist.

    Raises:
        NotFoundError: there is no such version.
        UsageError: the file exists or cannot be written, or a key cannot be used.
        IntegrityError: what belongs to the version is gone or changed.
        DependencyError: the ledger, the store, MLflow or a disk failed.
    """
    is_signed = bool(settings.signing_key_file)
    if is_signed:
        check_signing_key(settings)
    home = Home.existing(settings, f"model {name!r}")
    output = output.absolute()
    if output.exists() or output.is_symlink():
        raise UsageError(f"{output} exists.", "Name a new file with --output.")
    ledger = home.ledger
    version = ledger.find(name)
    if not is_signed and is_wanted(version, ledger):
        raise UsageError(
            f"The pipeline file of {version.model} wants a signature "
            "(promotion.signed), and no signing key is set.",
            "Set HEADRACE_SIGNING_KEY_FILE.",
        )
    if ledger.disposals.is_collected(version):
        raise collected_error(version, IntegrityError)
    temporary = tempfile.TemporaryDirectory(prefix="headrace-")
    with disk_errors(tempfile.gettempdir()), temporary as place:
        folder = Path(place)
        engines = pack(version, home, folder, is_signed=is_signed)
        if is_signed:
            (folder / SIGNATURE).write_bytes(sign_folder(folder, settings))
        files = files_in(folder)
        with disk_errors(str(output.parent)), _new_file(output) as new:
            with new.open("wb") as stream:
                write_archive(stream, f"{version.model}-{version.version}", files)
        return Bundled(
            model=version.model,
            version=version.version,
            output=str(output),
            bytes=output.stat().st_size,
            sha256=file_digest(output),
            files={name: file_digest(path) for name, path in sorted(files.items())},
            engines=tuple(engines),
            is_signed=is_signed,
        )


@contextlib.contextmanager
def _new_file(output: Path) -> Any:
    """A temporary file that becomes ``output``; raises UsageError where it cannot."""
    try:
        with atomic_file(output) as temporary:
            temporary.touch(0o600)
            yield temporary
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST):
            raise UsageError(
                f"{output} cannot be written: {error.strerror}.",
                "Name with --output a new file where you may write.",
            ) from None
        raise
