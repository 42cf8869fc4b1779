"""``headrace export``: a version in a format that others can use without Headrace.

What is written was loaded and has given the golden answers, which come with it, and so
does a script that replays them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from headrace.errors import Refusal, UsageError
from headrace.models.engines import TOLERANCE, forms, pieces
from headrace.models.engines.building import attempt
from headrace.models.engines.exporting import content
from headrace.models.engines.stored import (
    GOLDEN,
    BuildAttempt,
    read_record,
    read_stored,
)
from headrace.models.logged.golden import Golden
from headrace.records import DataDescription, Record
from headrace.settings import Settings
from headrace.state.disk import disk_errors, fsync_path
from headrace.state.home import Home
from headrace.state.ledger.records import Version
from headrace.state.temporary import sweep, work_prefix
from headrace.tasks import asked
from headrace.use.exporting.readme import readme

FACTS, CHECK, README = "model.json", "check.py", "README.txt"


class Exported(Record):
    """What was written.

    Attributes:
        output: the folder.
        files: sha256 by name.
        difference: the largest difference of an answer from the golden ones.
        latency_ms: median of calls with one item, milliseconds.
    """

    model: str
    version: int
    status: str = "ok"
    format: str
    output: str
    files: Mapping[str, str]
    difference: float
    latency_ms: float


class Admitted(NamedTuple):
    """An engine that gives the golden answers: its result, files and answers."""

    result: BuildAttempt
    files: Mapping[str, bytes]
    golden: Golden


def export(name: str, format_name: str, output: Path, settings: Settings) -> Exported:
    """Write a version to a new folder, as a whole or not at all.

    Args:
        name: ``MODEL`` or ``MODEL@champion`` for its champion, or ``MODEL/VERSION``.
        format_name: ``onnx`` or ``savedmodel``.
        output: the folder; it must not exist, or be empty.

    Raises:
        NotFoundError: there is no such version.
        UsageError: the folder has files, or a library is missing.
        Refusal: in this format, the model does not give its golden answers.
        IntegrityError: the version's own file is gone or changed.
        DependencyError: the export was killed, or the disk failed.
    """
    version = _find(name, settings)
    output = output.absolute()
    _check_output(output)
    if lacking := forms.missing(format_name):
        raise UsageError(
            f"An export to {format_name} needs {' and '.join(lacking)}.",
            f"Install what is missing: {forms.EXTRA}",
        )
    admitted = _admitted(version, format_name, settings)
    files, digests = exported_files(version, admitted)
    _write(output, files)
    return Exported(
        model=version.model,
        version=version.version,
        format=format_name,
        output=str(output),
        files=digests,
        difference=admitted.result.difference or 0.0,
        latency_ms=admitted.result.latency_ms or 0.0,
    )


def exported_files(
    version: Version, admitted: Admitted
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files of an export by name, and the sha256 of those of the model.

    The golden answers, a script that replays them and a README are among them.
    """
    description = version.description
    kind = admitted.result.input.dtype if admitted.result.input else "float32"
    makes_ids = admitted.files.get(forms.PIECES)
    golden = replayable(admitted.golden, description, kind, makes_ids)
    files = dict(admitted.files) | {GOLDEN: golden}
    digests = {n: hashlib.sha256(data).hexdigest() for n, data in files.items()}
    facts = _facts(version, admitted.result, description, admitted.golden, digests)
    files[CHECK] = check_script()
    if makes_ids:
        files["pieces.py"] = Path(pieces.__file__).read_bytes()
    files[README] = readme(facts).encode()
    files[FACTS] = json.dumps(facts, indent=1, ensure_ascii=False).encode()
    return files, digests


def check_script() -> bytes:
    """The script that replays golden answers."""
    return (resources.files(__package__) / CHECK).read_bytes()


def kept_engine(version: Version, settings: Settings) -> Admitted | None:
    """The admitted engine of a version that is kept in the store, if there is one."""
    stored = read_stored(version, settings)
    if stored is None or stored.record.attempt.input is None:
        return None
    files = {n: data for n, data in stored.files.items() if n != GOLDEN}
    return Admitted(stored.record.attempt, files, stored.golden)


def _find(name: str, settings: Settings) -> Version:
    return Home.existing(settings, f"model {name!r}").ledger.find(name)


def _check_output(output: Path) -> None:
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists() or output.is_symlink():
        what = "is not empty" if output.is_dir() else "exists and is no folder"
        raise UsageError(f"{output} {what}.", "Name a new folder with --output.")


def _admitted(version: Version, name: str, settings: Settings) -> Admitted:
    """The kept engine, if it is of this format; else a new export of this version."""
    record = read_record(version, settings)
    if record and record.engine != name == record.attempt.engine and record.is_current:
        raise _refusal(version, record.attempt)
    stored = kept_engine(version, settings)
    if stored and stored.result.engine == name:
        return stored
    with attempt(version, settings, name) as (result, folder):
        if result.reason:
            raise _refusal(version, result)
        golden = Golden.read((folder.parent / GOLDEN).read_bytes())
        return Admitted(result, content(folder), golden)


def _refusal(version: Version, result: BuildAttempt) -> Refusal:
    other = "Serve it with `headrace serve`, which needs no export."
    return Refusal(
        f"{version} cannot be exported to {result.engine}: {result.reason}",
        other if result.engine == "savedmodel" else "Try --format savedmodel.",
    )


def replayable(
    golden: Golden,
    description: DataDescription,
    kind: str,
    makes_ids: bytes | None = None,
) -> bytes:
    """The golden inputs as a model takes them and the outputs, as an npz file.

    Args:
        kind: Keras's name of the input's dtype.
        makes_ids: the file that says how the ids are made, where a model takes those of
            texts; the texts are in the npz file, too.
    """
    given = inputs = asked(description).raw(golden.items)
    if makes_ids:
        inputs = pieces.WordPieces(**json.loads(makes_ids))(given)
    inputs = inputs.astype(np.str_ if kind == "string" else kind)
    arrays = {"inputs": inputs, "outputs": golden.outputs}
    if makes_ids:
        arrays["texts"] = given.astype(np.str_)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _facts(
    version: Version,
    result: BuildAttempt,
    description: DataDescription,
    golden: Golden,
    files: Mapping[str, str],
) -> dict[str, Any]:
    given = result.input.model_dump(mode="json") if result.input else {}
    output: dict[str, Any] = {"dtype": "float32", "shape": golden.outputs.shape[1:]}
    if "classes" in description.target:
        output["classes"] = list(description.classes)
    own: dict[str, Any] = dict(description.options)
    if description.sample_rate_hz:
        own["sample_rate_hz"] = description.sample_rate_hz
    return {
        "model": version.model,
        "version": version.version,
        "model_digest": version.model_digest,
        "format": result.engine,
        "medium": description.medium,
        "task": description.task,
        "input": given | own,
        "output": output,
        "difference": result.difference,
        "tolerance": TOLERANCE,
        "libraries": dict(result.libraries),
        "files": dict(files),
    }


def _write(output: Path, files: Mapping[str, bytes]) -> None:
    with disk_errors(str(output)), _new_folder(output) as folder:
        for name, data in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            fsync_path(path)


@contextlib.contextmanager
def _new_folder(output: Path) -> Iterator[Path]:
    """A folder to fill, which is renamed at the end of the block."""
    folder = output.parent / f"{work_prefix()}{uuid.uuid4().hex}"
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        sweep(output.parent)
        folder.mkdir()
    except (PermissionError, FileNotFoundError, FileExistsError, NotADirectoryError):
        raise UsageError(
            f"A folder cannot be made in {output.parent}.",
            "Name with --output a new folder where you may write.",
        ) from None
    try:
        yield folder
        fsync_path(folder)
        _check_output(output)
        os.replace(folder, output)
        fsync_path(output.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
