"""Pretrained backbones in the store, each a folder named by its digest.

A backbone is brought by ``headrace backbone add``. Nothing is downloaded here. The
digest of a backbone is that of its files. What is said of it, such as its licence, is
in a record beside them; the ledger has the names of backbones.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from headrace.errors import IntegrityError, NotFoundError
from headrace.pipeline import PipelineSpec
from headrace.records import BackboneRecord, Record
from headrace.state import regular
from headrace.state.home import Home
from headrace.state.ledger import Version
from headrace.state.remote import ask
from headrace.state.store import Store

FOLDER = "backbones"
RECORD = "record.json"
_NAMED = "backbone "


class BackboneFile(Record):
    """A file of a backbone, by its path below the backbone's folder."""

    name: str
    sha256: str
    bytes: int


class Backbone(Record):
    """A pretrained backbone in the store.

    Attributes:
        digest: sha256 over the names and digests of its files.
        files: sorted by name.
        medium: of the items that it reads.
        architecture: such as ``bert``.
        source: where it came from.
        licence: an SPDX identifier; empty where none is known.
    """

    digest: str
    files: tuple[BackboneFile, ...]
    medium: str
    architecture: str
    source: str
    licence: str = ""

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files)


def files_of(paths: Mapping[str, Path]) -> tuple[BackboneFile, ...]:
    """Files with their digests, sorted by name.

    Args:
        paths: where they are, by their name in a backbone's folder.

    Raises:
        FileNotFoundError: one is gone.
    """
    return tuple(
        BackboneFile(
            name=name, sha256=regular.file_digest(path), bytes=path.stat().st_size
        )
        for name, path in sorted(paths.items())
    )


def digest_of(files: Iterable[BackboneFile]) -> str:
    """The digest of a backbone with these files."""
    lines = sorted(f"{file.name} {file.sha256}\n" for file in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def names(home: Home) -> dict[str, str]:
    """The digest of each named backbone, sorted by name."""
    facts = home.ledger.facts.all()
    return {
        name.removeprefix(_NAMED): digest
        for name, digest in sorted(facts.items())
        if name.startswith(_NAMED)
    }


def give_name(name: str, digest: str, home: Home) -> None:
    """Record the name of a backbone, which another one may have had."""
    home.ledger.facts.record({f"{_NAMED}{name}": digest}, home.settings.user)


def find(digest: str, home: Home) -> Backbone | None:
    """What is known of a backbone; None where the store has no record of it."""
    return home.store.read_record(f"{FOLDER}/{digest}/{RECORD}", Backbone)


def keep(backbone: Backbone, folder: Path, home: Home) -> None:
    """Keep a backbone in the store, in place of an incomplete or damaged copy.

    Args:
        backbone: its record.
        folder: inside a work folder of the store, with its files.
        home: with the store.
    """
    key = f"{FOLDER}/{backbone.digest}"
    (folder / RECORD).write_text(backbone.model_dump_json(indent=1), "utf-8")
    home.store.delete_folder(key)
    home.store.publish(folder, key, RECORD)


def describe(backbone: Backbone, home: Home) -> None:
    """Record what is newly known of a backbone that the store has."""
    key = f"{FOLDER}/{backbone.digest}/{RECORD}"
    home.store.write_json(key, backbone.model_dump(mode="json"))


def damaged(backbone: Backbone, store: Store) -> str:
    """The first file that is gone or was changed; empty if there is none."""
    key = f"{FOLDER}/{backbone.digest}"
    for file in backbone.files:
        try:
            is_same = store.digest(f"{key}/{file.name}") == file.sha256
        except FileNotFoundError:
            is_same = False
        if not is_same:
            return file.name
    return ""


def check(digest: str, home: Home) -> Backbone:
    """The record of a backbone, all of whose files are as they were recorded.

    Raises:
        NotFoundError: the store has no such backbone.
        IntegrityError: a file is gone, or was changed.
    """
    backbone = known(digest, home)
    _check(backbone, home.store, home)
    return backbone


def _check(backbone: Backbone, store: Store, home: Home) -> None:
    """Raise IntegrityError unless a store has all files of a backbone."""
    if name := damaged(backbone, store):
        raise IntegrityError(
            f"{store.uri(f'{FOLDER}/{backbone.digest}/{name}')} is not the file that "
            "was recorded: it was changed or damaged. It was not used.",
            again(backbone, home),
        )


def as_known(recorded: BackboneRecord, home: Home) -> BackboneRecord:
    """A training's backbone, with the licence that the store has of it now."""
    found = find(recorded.digest, home)
    return recorded.model_copy(update={"licence": found.licence}) if found else recorded


def of_version(version: Version, home: Home) -> BackboneRecord | None:
    """The backbone that a version began with, as it is known now; None of others."""
    recorded = version.details.get("training", {}).get("backbone")
    if not recorded:
        return None
    return as_known(BackboneRecord.model_validate(recorded), home)


def local_folder(digest: str, home: Home) -> Path:
    """The files of a backbone on this machine, their digests checked.

    Those of a remote store are copied into the home once.

    Raises:
        NotFoundError: the store has no such backbone.
        IntegrityError: a file was changed or damaged.
    """
    key = f"{FOLDER}/{digest}"
    if home.store.is_local:
        check(digest, home)
        return Path(home.store.path(key))
    backbone = known(digest, home)
    local = Store(str(home.settings.home.absolute()))
    if damaged(backbone, local):
        local.delete_folder(key)
        with local.new_folder(key, RECORD) as work:
            for file in backbone.files:
                _copy(f"{key}/{file.name}", work / file.name, home.store)
            (work / RECORD).write_text(backbone.model_dump_json(indent=1), "utf-8")
        _check(backbone, local, home)
    return Path(local.path(key))


def arguments_of(spec: PipelineSpec, home: Home) -> dict[str, Any]:
    """The arguments of a spec's builder, with the folder of its backbone for the name.

    Raises:
        NotFoundError, IntegrityError: as `local_folder`.
    """
    arguments, digest = spec.model.arguments, spec.model.backbone
    if not digest:
        return arguments
    return {**arguments, "preset": str(local_folder(digest, home))}


def _copy(key: str, target: Path, store: Store) -> None:
    """Copy a file, if there is one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    place = store.path(key)
    with contextlib.suppress(FileNotFoundError):
        ask(store.uri(key), lambda: store.fs.get_file(place, str(target)))


def known(digest: str, home: Home) -> Backbone:
    """The record of a backbone.

    Raises:
        NotFoundError: the store has no such backbone.
    """
    if backbone := find(digest, home):
        return backbone
    raise NotFoundError(
        f"The store {home.store.root} has no backbone {digest[:16]}.",
        "Bring it with `headrace backbone add`; the digest must be the same.",
    )


def again(backbone: Backbone, home: Home) -> str:
    """What mends a backbone, for a message."""
    own = [name for name, one in names(home).items() if one == backbone.digest]
    name = own[0] if own else "NAME"
    return f"Bring it again: headrace backbone add {name} {backbone.source}"
