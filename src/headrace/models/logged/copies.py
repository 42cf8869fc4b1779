"""The store's copy of a version's files: made at registration, restored when needed.

A copy is a folder named by the digest of the model file. Only files with the digest
that the ledger recorded are restored.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.models.logged.checks import logged_model
from headrace.records import LoggedModel
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.regular import file_digest
from headrace.state.store import Store
from headrace.state.tracking import GOLDEN_FILE, MODEL_FILE
from headrace.state.tracking.artifacts import (
    digest_at,
    model_place,
    put,
    run_place,
)

LOGGED = "logged"  # the folder of the logged model in a copy
_MODEL = f"{LOGGED}/{MODEL_FILE}"
_GOLDEN = "golden.npz"  # the marker of a complete copy


def keep_copy(logged: LoggedModel, home: Home) -> dict[str, Any]:
    """Copy a logged model and its golden file into the store, once.

    Returns:
        the details of a version with these files: their digests.

    Raises:
        IntegrityError: one of them is gone or changed.
        DependencyError: MLflow or the store failed.
    """
    tracking, store = home.tracking, home.store
    with tempfile.TemporaryDirectory(prefix="headrace-") as name:
        folder = Path(name)
        source = tracking.model_folder(logged.model_uri, logged.model_digest, folder)
        digest = logged.golden_digest
        golden = tracking.run_file(logged.run_id, GOLDEN_FILE, digest)
        details = _describe_files(source)
        files = {f"{LOGGED}/{path}": d for path, d in details["files"].items()}
        files[_GOLDEN] = digest
        if not _is_whole(logged.model_digest, files, store):
            _publish(source, golden, logged.model_digest, store)
        return {"golden_digest": digest, **details}


def keep_copy_of(version: Version, home: Home) -> bool:
    """Copy a sound version into the store, where it has no whole copy of it.

    Returns:
        whether a copy was made.
    """
    files = copied_files(version)
    if _is_whole(version.model_digest, files, home.store):
        return False
    with contextlib.suppress(IntegrityError, NotFoundError):  # MLflow no longer has it
        keep_copy(logged_model(version), home)
        return True
    return False


def copy_key(version: Version, path: str) -> str:
    """The key in the store of a file of a version's copy."""
    return _key(version.model_digest, path)


def golden_key(version: Version) -> str:
    """The key in the store of the copy of a version's golden file."""
    return copy_key(version, _GOLDEN)


def zeros_key(version: Version) -> str:
    """The key of a version's answer to an item of zeros.

    `forget` writes it where the golden file shows a forgotten item.
    """
    return copy_key(version, "zeros.npz")


def copied_files(version: Version) -> dict[str, str]:
    """The sha256 of each file of a version's copy in the store, by its name there."""
    logged = {**version.details.get("files", {}), MODEL_FILE: version.model_digest}
    files = {f"{LOGGED}/{path}": digest for path, digest in logged.items()}
    return {**files, _GOLDEN: version.golden_digest}


def fetch_copy(version: Version, folder: Path, store: Store) -> None:
    """Write the store's copy of a version's files to a new folder, each checked.

    Raises:
        IntegrityError: one of them is gone or changed.
        DependencyError: the store does not answer.
    """
    for path, digest in copied_files(version).items():
        content = _read(store, version.model_digest, path, digest)
        if content is None:
            uri = store.uri(copy_key(version, path))
            raise IntegrityError(
                f"{uri} is gone or changed: it is not in the store as it was copied.",
                f"Run `headrace verify {version.model}/{version.version} --repair`, "
                "which copies the files again.",
            )
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _describe_files(folder: Path) -> dict[str, dict[str, str]]:
    """The digests of all files of a logged model by path, as ``details``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {p.relative_to(folder).as_posix(): file_digest(p) for p in files}
    return {"files": digests}


def restore(version: Version, home: Home) -> list[str]:
    """Put files of a version that are gone or changed back from its copy in the store.

    Returns:
        the steps done, in words; empty if the store has no valid copy of them.

    Raises:
        DependencyError: MLflow, its disk or the store failed.
    """
    tracking, artifacts, steps = home.tracking, home.settings.artifacts, []
    model, run = model_place(version, artifacts), run_place(version, artifacts)
    with contextlib.suppress(NotFoundError):  # MLflow no longer has it
        model = tracking.model_place(version.model_uri)
    with contextlib.suppress(NotFoundError):
        run = tracking.run_place(version.run_id)
    files = copied_files(version)
    for path in sorted(files, key=lambda path: path == _MODEL):  # without it, none is
        place, name = model, path.removeprefix(f"{LOGGED}/")
        if path == _GOLDEN:
            place, name = run, GOLDEN_FILE
        if digest_at(f"{place}/{name}") == files[path]:
            continue
        content = _read(home.store, version.model_digest, path, files[path])
        if content is not None:
            put(tracking.uri, place, name, content)
            whole = {_MODEL: "the model file", _GOLDEN: "the golden file"}
            steps.append(f"put {whole.get(path, name)} back from the store's copy")
    return steps


def _key(digest: str, *path: str) -> str:
    return "/".join(["models", digest, *path])


def _publish(source: Path, golden: bytes, digest: str, store: Store) -> None:
    if store.exists(_key(digest, _GOLDEN)):
        store.delete_folder(_key(digest))  # it is damaged
    with store.new_folder(_key(digest), _GOLDEN) as folder:
        shutil.copytree(source, folder / LOGGED)
        (folder / _GOLDEN).write_bytes(golden)


def _is_whole(copy: str, files: Mapping[str, str], store: Store) -> bool:
    """Whether a copy has all files, by their path and sha256."""
    return all(_read(store, copy, *file) is not None for file in files.items())


def _read(store: Store, copy: str, path: str, digest: str) -> bytes | None:
    """A file of a copy, if it has this digest."""
    try:
        content = store.read(_key(copy, path))
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content if hashlib.sha256(content).hexdigest() == digest else None
