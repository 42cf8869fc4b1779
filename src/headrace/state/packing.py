"""Pipeline folders in the store, by their digest.

A worker without the folder downloads it and checks its digest. So a deployment runs the
files that were deployed, even if the folder is edited later.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from headrace.errors import IntegrityError, NotFoundError
from headrace.state.store import Store

_SUFFIXES = {".toml", ".py", ".md"}  # of the files of a pipeline


def pipeline_files(folder: Path) -> dict[str, bytes]:
    """The content of a folder's ``.toml``, ``.py`` and ``.md`` files, by name.

    Subfolders are excluded, since no builder can import from them.
    """
    return {
        file.name: file.read_bytes()
        for file in sorted(folder.iterdir())
        if file.suffix in _SUFFIXES and file.is_file()
    }


def pack_folder(folder: Path, store: Store) -> str:
    """Write a pipeline's files to the store; returns the sha256 of the packed files.

    Raises:
        DependencyError: the store cannot be written.
    """
    data = _pack(pipeline_files(folder))
    digest = hashlib.sha256(data).hexdigest()
    if not store.exists(_key(digest)):
        store.write(_key(digest), data)
    return digest


def unpack_folder(digest: str, store: Store, parent: Path) -> Path:
    """Copy a pipeline's files from the store into a local folder.

    Args:
        digest: the digest that `pack_folder` returned.
        parent: a local folder. The files are written to ``parent/digest``, which is
            reused while its content has that digest.

    Raises:
        NotFoundError: the store has no files of this digest.
        IntegrityError: the files in the store do not have this digest.
    """
    local, target = Store(str(parent)), parent / digest
    if target.is_dir():
        present = _pack(pipeline_files(target))
        if hashlib.sha256(present).hexdigest() == digest:
            return target
        local.delete_folder(digest)
    try:
        data = store.read(_key(digest))
    except FileNotFoundError:
        raise NotFoundError(
            f"The store {store.root} has no pipeline folder {digest[:16]}.",
            "Deploy the pipeline again, with the same HEADRACE_STORE as this worker.",
        ) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise IntegrityError(
            f"{store.uri(_key(digest))} does not have the digest in its name: it was "
            "changed or damaged. It was not used.",
            "Delete it, and deploy the pipeline again.",
        )
    with local.new_folder(digest, "pipeline.toml") as folder:
        for name, text in json.loads(data).items():
            (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    return target


def _pack(files: dict[str, bytes]) -> bytes:
    """Files as one JSON object; bytes that are not UTF-8 are preserved."""
    text = {n: data.decode("utf-8", "surrogateescape") for n, data in files.items()}
    return json.dumps(text, sort_keys=True).encode()


def _key(digest: str) -> str:
    return f"folders/{digest}.json"
