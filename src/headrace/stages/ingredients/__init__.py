"""The ingredients of a training, recorded so that it can be reproduced.

The record is one artifact of the MLflow run, and a tag of the run has its sha256. It
has the sha256 of every other file that a repeat needs: the spec, the pipeline's own
code, the records of its data. So the tag verifies all that a repeat uses or imports.
"""

from __future__ import annotations

import hashlib
import platform
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import ValidationError

from headrace import models
from headrace.errors import IntegrityError, UsageError
from headrace.imports import extensions
from headrace.imports.backend import load_backend
from headrace.pipeline import PipelineSpec
from headrace.records import ContractRecord, Record, SnapshotRecord
from headrace.settings import variable
from headrace.stages.ingredients.closure import code_state, installed, normal_name
from headrace.state.packing import pipeline_files
from headrace.tasks import task_modules

# Environment variables of libraries that can change the last bits of a sum.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES DNNL_MAX_CPU_ISA KERAS_BACKEND NVIDIA_TF32_OVERRIDE "
    "OMP_NUM_THREADS ONEDNN_MAX_CPU_ISA TF_CUDNN_DETERMINISTIC TF_DETERMINISTIC_OPS "
    "TF_ENABLE_ONEDNN_OPTS TF_NUM_INTEROP_THREADS TF_NUM_INTRAOP_THREADS TF_XLA_FLAGS "
    "XLA_FLAGS"
).split()
_INSTRUCTIONS = re.compile(r"(avx|amx|fma|f16c|asimd|sve|bf16|i8mm)\w*")


Kind = Literal["code", "lock", "device"]
FILE = "pipeline/ingredients.json"
SPEC = "pipeline/spec.json"
SNAPSHOT = "data/snapshot.json"
CONTRACT = "data/contract.json"
TAG = "headrace.ingredients"
LOCK_TAG = "headrace.lock"


class Ingredients(Record):
    """All that the weights of a training depend on.

    Attributes:
        code: from `closure.code_state`: our modules and the pipeline's files by digest,
            and the versions of the packages that they import.
        distributions: the installed ones, sorted, each ``name==version``.
        machine: its hardware, and environment variables of numerical libraries.
        execution: of the steps: device, threads, precision, XLA, steps.
        quarantine: sha256 of the quarantine's file; empty where there is none.
        files: artifact path to sha256.
    """

    format: Literal[1] = 1
    builder: str
    code: dict[str, str]
    python: str
    distributions: tuple[str, ...]
    machine: dict[str, str]
    execution: dict[str, str | int | float | bool]
    quarantine: str
    files: dict[str, str]


class IngredientDifference(Record):
    """An ingredient that has changed; empty where there is or was none."""

    kind: Kind
    name: str
    then: str
    now: str


def training_roots(spec: PipelineSpec, builder: str) -> list[str]:
    """The entry modules of training, with the user's own.

    Raises:
        SpecError: there is no such family.
    """
    medium = extensions.modules("media")[spec.medium]
    own = [builder] * (not builder.isidentifier()) + [*spec.training.own_functions]
    return [
        "headrace.stages.training",
        medium,
        *([f"{medium}.augmentation"] if spec.training.augment else ()),
        *task_modules(spec.task, "learn"),
        *([models.module_of(builder)] if builder.isidentifier() else ()),
        *(name.replace(":", ".").rpartition(".")[0] for name in own),
    ]


def differences(
    then: Ingredients, now: Ingredients
) -> tuple[IngredientDifference, ...]:
    """The changed ingredients.

    Code comes first, then imported packages, other packages, and the device.
    """
    before, after = _parts(then), _parts(now)
    direct = {"python"} | {
        normal_name(name.removeprefix("version "))
        for name in {**then.code, **now.code}
        if name.startswith("version ")
    }

    def rank(part: tuple[Kind, str]) -> tuple[int, bool, str]:
        kind, name = part
        return ("code", "lock", "device").index(kind), name not in direct, name

    return tuple(
        IngredientDifference(kind=part[0], name=part[1], then=old, now=new)
        for part in sorted(before.keys() | after.keys(), key=rank)
        if (old := before.get(part, "")) != (new := after.get(part, ""))
    )


def _parts(ingredients: Ingredients) -> dict[tuple[Kind, str], str]:
    code = ingredients.code.items()
    locked = (text.partition("==") for text in ingredients.distributions)
    device = {**ingredients.machine, **ingredients.execution}
    return {
        **{("code", k[5:]): v for k, v in code if k.startswith("code ")},
        ("lock", "python"): ingredients.python,
        **{("lock", name): version for name, _, version in locked},
        **{("device", name): str(value) for name, value in device.items()},
    }


def distributions() -> tuple[str, ...]:
    """The installed distributions, sorted, each ``name==version``."""
    return tuple(f"{name}=={version}" for name, version in sorted(installed().items()))


def machine() -> dict[str, str]:
    """The processor, its vector instructions, the GPU, and `_VARIABLES`."""
    cpu, instructions = _processor()
    facts = {
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip(),
        "cpu": cpu,
        "instructions": instructions,
        "gpu": _gpu(),
        **{name: variable(name) for name in _VARIABLES},
    }
    return {name: value for name, value in facts.items() if value}


def _processor() -> tuple[str, str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor(), ""
    facts = {}
    for line in text.partition("\n\n")[0].splitlines():
        name, _, value = line.partition(":")
        facts[name.strip()] = value.strip()
    flags = facts.get("flags", facts.get("Features", "")).split()
    model = facts.get("model name", platform.processor())
    return model, " ".join(sorted(f for f in flags if _INSTRUCTIONS.fullmatch(f)))


def _gpu() -> str:
    load_backend()
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    gpus = tf.config.list_physical_devices("GPU")
    return str(details(gpus[0]).get("device_name")) if gpus else ""


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

        uri, roots = contract.quarantine_uri, training_roots(spec, builder)
        quarantine = _digest(read_quarantine(uri)) if uri else ""
        records = {SPEC: spec, SNAPSHOT: snapshot, CONTRACT: contract}
        self.files = {
            path: record.model_dump_json(indent=1).encode()
            for path, record in records.items()
        }
        for name, content in pipeline_files(folder).items():
            self.files[f"pipeline/{name}"] = content
        self._fixed = Ingredients(
            builder=builder,
            code=code_state(roots, sorted(folder.glob("*.py"))),
            python=f"{platform.python_implementation()} {platform.python_version()}",
            distributions=distributions(),
            machine=machine(),
            execution={},
            quarantine=quarantine,
            files={path: _digest(data) for path, data in self.files.items()},
        )

    def ingredients(self, execution: Mapping[str, Any]) -> Ingredients:
        """The ingredients, with the execution of the steps."""
        return self._fixed.model_copy(update={"execution": dict(execution)})

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
    _write(place / FILE, data)
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
