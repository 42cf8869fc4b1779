"""The ingredients by kind, and how two sets of them differ."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Literal

from headrace import extensions
from headrace.backend import load_backend
from headrace.records import Record
from headrace.settings import variable
from headrace.spec import PipelineSpec
from headrace.stages.ingredients.closure import installed, normal_name
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


class Difference(Record):
    """An ingredient that has changed; empty where there is or was none."""

    kind: Kind
    name: str
    then: str
    now: str


def training_roots(spec: PipelineSpec, builder: str) -> list[str]:
    """The entry modules of training, with the user's own."""
    own = [builder] * (not builder.isidentifier()) + [*spec.training.own_functions]
    return [
        "headrace.stages.training",
        extensions.modules("media")[spec.medium],
        *task_modules(spec.task, "labels", "head"),
        *([extensions.modules("models")[builder]] if builder.isidentifier() else ()),
        *(name.replace(":", ".").rpartition(".")[0] for name in own),
    ]


def differences(then: Ingredients, now: Ingredients) -> tuple[Difference, ...]:
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
        Difference(
            kind=part[0],
            name=part[1],
            then=before.get(part, ""),
            now=after.get(part, ""),
        )
        for part in sorted(before.keys() | after.keys(), key=rank)
        if before.get(part) != after.get(part)
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


def python_version() -> str:
    """The implementation and the version, such as ``CPython 3.12.4``."""
    return f"{platform.python_implementation()} {platform.python_version()}"


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

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return ""
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name"))
