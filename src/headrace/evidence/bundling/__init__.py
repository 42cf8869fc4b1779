"""``headrace export --evidence``: a version with all that proves it, in one file.

The file is checked elsewhere by ``headrace verify FILE``, without a home. What is in it
was compared with the ledger; equal records give equal bytes, but for a signature.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from headrace.errors import IntegrityError, UsageError
from headrace.evidence.bundling.archive import (
    MANIFEST,
    SIGNATURE,
    Manifest,
    as_json,
    files_in,
    write_archive,
    write_contents,
)
from headrace.records import Record
from headrace.settings import Settings
from headrace.stages.promotion.conditions import is_wanted
from headrace.state.backbones import of_version
from headrace.state.disk import atomic_file, disk_errors
from headrace.state.home import Home
from headrace.state.ledger import Version
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
    version = home.ledger.find(name)
    if not is_signed and is_wanted(version, home.ledger):
        raise UsageError(
            f"The pipeline file of {version.model} wants a signature "
            "(promotion.signed), and no signing key is set.",
            "Set HEADRACE_SIGNING_KEY_FILE.",
        )
    home.ledger.facts.require_files(version, IntegrityError)
    temporary = tempfile.TemporaryDirectory(prefix="headrace-")
    with disk_errors(tempfile.gettempdir()), temporary as place:
        folder = Path(place)
        _write_files(version, home, folder)
        if is_signed:
            (folder / SIGNATURE).write_bytes(sign_folder(folder, settings))
        _write_archive(output, f"{version.model}-{version.version}", folder)
        engines = sorted(path.name for path in folder.glob("engines/*"))
        files = {name: file_digest(path) for name, path in files_in(folder).items()}
    return Bundled(
        model=version.model,
        version=version.version,
        output=str(output),
        bytes=output.stat().st_size,
        sha256=file_digest(output),
        files=files,
        engines=tuple(engines),
        is_signed=is_signed,
    )


def _write_files(version: Version, home: Home, folder: Path) -> None:
    """Write all files of a bundle but its signature to an empty folder."""
    write_contents(version, home, folder)
    manifest = Manifest(
        model=version.model,
        version=version.version,
        backbone=of_version(version, home),
        files={name: file_digest(path) for name, path in files_in(folder).items()},
    )
    (folder / MANIFEST).write_bytes(as_json(manifest.model_dump(mode="json")))


def _write_archive(output: Path, top: str, folder: Path) -> None:
    """Write the archive to a new file; raises UsageError where there can be none."""
    try:
        with disk_errors(str(output.parent)), atomic_file(output) as temporary:
            temporary.touch(0o600)
            with temporary.open("wb") as stream:
                write_archive(stream, top, folder)
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise UsageError(
            f"{output} cannot be written: {error.strerror}.",
            "Name with --output a new file where you may write.",
        ) from None
