"""The files of the record: packed by a training, restored for a repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from headrace.errors import IntegrityError, UsageError
from headrace.records import ContractRecord, SnapshotRecord
from headrace.spec import PipelineSpec
from headrace.stages.ingredients.closure import code_state
from headrace.stages.ingredients.parts import (
    Ingredients,
    distributions,
    machine,
    python_version,
    training_roots,
)
from headrace.state.folders import pipeline_files

FILE = "pipeline/ingredients.json"
SPEC = "pipeline/spec.json"
SNAPSHOT = "data/snapshot.json"
CONTRACT = "data/contract.json"
TAG = "headrace.ingredients"
LOCK_TAG = "headrace.lock"


class Packed:
    """The inputs of a training.

    They are packed before the builder is imported, since files may be edited later.

    Args:
        spec: the pipeline.
        folder: of the pipeline; its ``.toml``, ``.py`` and ``.md`` files are packed,
            but none of subfolders, which no builder can import.
        builder: the name of the builder.
        snapshot: the data.
        contract: its verdict.

    Raises:
        IntegrityError: the quarantine is gone or was changed.
        SpecError: a Python file of the folder is invalid.
    """

    def __init__(
        self,
        spec: PipelineSpec,
        folder: Path,
        builder: str,
        snapshot: SnapshotRecord,
        contract: ContractRecord,
    ) -> None:
        from headrace.data.snapshots.splits import read_quarantine

        self.builder = builder
        roots = training_roots(spec, builder)
        self.code = code_state(roots, sorted(folder.glob("*.py")))
        uri = contract.quarantine_uri
        self.quarantine = _digest(read_quarantine(uri)) if uri else ""
        records = {SPEC: spec, SNAPSHOT: snapshot, CONTRACT: contract}
        self.files = {
            path: record.model_dump_json(indent=1).encode()
            for path, record in records.items()
        }
        for name, content in pipeline_files(folder).items():
            self.files[f"pipeline/{name}"] = content

    def ingredients(self, execution: Mapping[str, Any]) -> Ingredients:
        """The ingredients, with the execution of the steps."""
        return Ingredients(
            builder=self.builder,
            code=self.code,
            python=python_version(),
            distributions=distributions(),
            machine=machine(),
            execution=dict(execution),
            quarantine=self.quarantine,
            files={path: _digest(data) for path, data in self.files.items()},
        )

    def write(self, place: Path, execution: Mapping[str, Any]) -> dict[str, str]:
        """Write the record below ``place``, to be logged as artifacts.

        Returns:
            the tags of the run that verify it.
        """
        ingredients = self.ingredients(execution)
        data = ingredients.model_dump_json(indent=1).encode()
        for path, content in {**self.files, FILE: data}.items():
            _write(place / path, content)
        lock = "\n".join(ingredients.distributions).encode()
        return {TAG: _digest(data), LOCK_TAG: _digest(lock)}


@dataclass(frozen=True, slots=True)
class Restored:
    """The restored record of a run; ``folder`` has the pipeline's files.

    The URIs in the records are those at the time of the training.
    """

    ingredients: Ingredients
    spec: PipelineSpec
    folder: Path
    snapshot: SnapshotRecord
    contract: ContractRecord


def restore(place: Path, digest: str, read: Callable[[str], bytes]) -> Restored:
    """Restore the record of a run, and check every file before it is used.

    Args:
        place: an empty folder for the files.
        digest: of the record, from the run's tag.
        read: reads an artifact of the run.

    Raises:
        IntegrityError: a file is gone or was changed.
        UsageError: the record has the format of another version of Headrace.
    """
    data = read(FILE)
    _check(FILE, data, digest)
    try:
        ingredients = Ingredients.model_validate_json(data)
        for path, expected in ingredients.files.items():
            if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
                raise IntegrityError(f"{FILE} of the run names a file outside: {path}.")
            content = read(path)
            _check(path, content, expected)
            _write(place / path, content)
        return Restored(
            ingredients,
            PipelineSpec.model_validate_json((place / SPEC).read_bytes()),
            place / "pipeline",
            SnapshotRecord.model_validate_json((place / SNAPSHOT).read_bytes()),
            ContractRecord.model_validate_json((place / CONTRACT).read_bytes()),
        )
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"The record of the run is not of this version's form: {error.title}, "
            f"{field}: {first['msg']}.",
            f"Use the Headrace that it was trained with; {FILE} has its version.",
        ) from None


def _check(path: str, data: bytes, expected: str) -> None:
    actual = _digest(data)
    if actual != expected:
        raise IntegrityError(
            f"{path} of the run has sha256 {actual[:16]}..., but {expected[:16]}... "
            "was recorded: it was changed or damaged. Nothing of it was used.",
            "Restore it from a backup, or train again.",
        )


def _write(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
