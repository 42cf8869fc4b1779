"""A bundle: a tar archive of regular files below one folder, held against the ledger.

Names are sorted, and there is neither owner nor time: equal files give equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from headrace.display.pages import render
from headrace.errors import IntegrityError, UsageError
from headrace.evidence.reproduction import recorded
from headrace.models.engines.forms import TOLERANCE
from headrace.models.engines.stored import golden_bytes
from headrace.models.logged.copies import copied_files, fetch_copy
from headrace.models.logged.golden import Golden
from headrace.records import BackboneRecord, Record
from headrace.state.disk import disk_errors
from headrace.state.folders import card_key
from headrace.state.home import Home
from headrace.state.ledger import Ledger, Version
from headrace.state.tracking import REPORT_FILE
from headrace.tasks import asked
from headrace.use.exporting import (
    CHECK,
    FACTS,
    check_script,
    exported_files,
    kept_engine,
    replayable,
)

MANIFEST, SIGNATURE = "manifest.json", "bundle.sig"
AGAIN = "Get it again from where it was made."
MOST_FILES = 10_000
CARD, EVIDENCE, PACKAGES = "card.html", "evidence.json", "requirements.txt"


class Manifest(Record):
    """What a bundle is, and what is in it.

    Attributes:
        backbone: the pretrained one that the model was made of, if there is one; its
            weights are in the model.
        files: sha256 by name, of all but this manifest and the signature of the whole.
    """

    format: Literal[2] = 2
    model: str
    version: int
    backbone: BackboneRecord | None = None
    files: dict[str, str]


def as_json(value: Any) -> bytes:
    """A JSON value as bytes that depend on nothing else."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return (text + "\n").encode()


def files_in(folder: Path) -> dict[str, Path]:
    """All files below a folder, sorted by their names in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in files}
    return dict(sorted(named.items()))


def write_archive(stream: Any, top: str, folder: Path) -> None:
    """Write the files of a folder below one folder of an archive.

    Args:
        stream: anything with a method ``write`` of bytes.
        top: the folder in the archive.
        folder: with the files.

    Raises:
        UsageError: a file or its name is too long for the format.
    """
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for name, file in files_in(folder).items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = file.stat().st_size
            try:
                with file.open("rb") as content:
                    tar.addfile(info, content)
            except ValueError as error:
                raise UsageError(
                    f"{info.name} cannot be in a bundle: {error}.",
                    "Choose a shorter name or a smaller model.",
                ) from None


def unpack(archive: Path, folder: Path) -> Path:
    """Write the files of an archive to an empty folder; they need no more room than it.

    Returns:
        the folder in it that has them all.

    Raises:
        IntegrityError: it is no such archive, it is cut off, or a member is no regular
            file or leads outside.
        DependencyError: the disk is full.
    """
    try:
        with disk_errors(str(folder)), tarfile.open(archive, "r:") as tar:
            for count, member in enumerate(tar):
                if count == MOST_FILES:
                    raise _damaged(f"it has more than {MOST_FILES:,} files")
                _unpack(member, tar, folder)
    except (tarfile.TarError, NotADirectoryError, FileExistsError) as error:
        raise _damaged(str(error)) from None
    tops = list(folder.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise _damaged("its files are not below one folder")
    return tops[0]


def _unpack(member: tarfile.TarInfo, tar: tarfile.TarFile, folder: Path) -> None:
    path = PurePosixPath(member.name)
    is_regular = member.type == tarfile.REGTYPE and member.sparse is None
    content = tar.extractfile(member) if is_regular else None
    if content is None or path.is_absolute() or ".." in path.parts:
        raise _damaged(f"{member.name!r} is no regular file below its folder")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)


def _damaged(what: str) -> IntegrityError:
    return IntegrityError(f"The archive is not as Headrace wrote it: {what}.", AGAIN)


def write_contents(version: Version, home: Home, folder: Path) -> None:
    """Write the files of a bundle to an empty folder, without manifest and signature.

    Raises:
        IntegrityError: something is gone or changed.
        DependencyError: the ledger, the store or MLflow failed.
    """
    name, run_id = f"{version.model}/{version.version}", version.run_id
    fetch_copy(version, folder / "model", home.store)
    run = home.tracking.find_run(run_id)
    record = recorded(run, home, folder / "reproduction")
    packages = "\n".join([*record.ingredients.distributions, ""])
    page = home.store.find(card_key(run_id))
    files = {
        **_engine(version, home),
        **_golden(version, home),
        CARD: page or home.tracking.run_file(run_id, REPORT_FILE),
        EVIDENCE: as_json(_evidence(version, home.ledger)),
        PACKAGES: packages.encode(),
        "README.txt": f"{render('bundle.txt', name=name)}\n".encode(),
    }
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def _engine(version: Version, home: Home) -> dict[str, bytes]:
    """The engine that the store has, as `headrace export` writes it."""
    admitted = kept_engine(version, home.settings)
    if admitted is None:
        return {}
    files, _ = exported_files(version, admitted)
    return {f"engines/{admitted.result.engine}/{name}": files[name] for name in files}


def _golden(version: Version, home: Home) -> dict[str, bytes]:
    """The script that replays the golden answers, and what it needs."""
    description = version.description
    golden = Golden.read(golden_bytes(version, home.settings))
    dtype = asked(description).raw(golden.items[:1]).dtype
    kind = "string" if dtype.kind in "OSU" else dtype.name
    data = replayable(golden, description, kind)
    copied = copied_files(version).items()
    facts = {
        "model": version.model,
        "version": version.version,
        "format": "keras",
        "tolerance": TOLERANCE,
        "files": {
            "golden.npz": hashlib.sha256(data).hexdigest(),
            **{f"model/{name}": digest for name, digest in copied},
        },
    }
    return {"golden.npz": data, CHECK: check_script(), FACTS: as_json(facts)}


def _evidence(version: Version, ledger: Ledger) -> dict[str, Any]:
    """The rows of the ledger that are about a version."""
    model, number = version.model, version.version
    history = ledger.history(model)
    rows: dict[str, Iterable[Record]] = {
        "evidence": ledger.evidence_of(model, number),
        "history": [h for h in history if number in (h.from_version, h.to_version)],
        "approvals": [a for a in ledger.approvals(model) if a.version == number],
    }
    shown = {name: [one.model_dump(mode="json") for one in rows[name]] for name in rows}
    return {"version": version.model_dump(mode="json"), **shown}
