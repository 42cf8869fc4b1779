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

# Read by libraries beneath, and each of them can change the last bits of a sum.
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES DNNL_MAX_CPU_ISA KERAS_BACKEND NVIDIA_TF32_OVERRIDE "
    "OMP_NUM_THREADS ONEDNN_MAX_CPU_ISA TF_CUDNN_DETERMINISTIC TF_DETERMINISTIC_OPS "
    "TF_ENABLE_ONEDNN_OPTS TF_NUM_INTEROP_THREADS TF_NUM_INTRAOP_THREADS TF_XLA_FLAGS "
    "XLA_FLAGS"
).split()
_INSTRUCTIONS = re.compile(r"(avx|amx|fma|f16c|asimd|sve|bf16|i8mm)\w*")


class Ingredients(Record):
    """All that decides the weights of a training.

    Attributes:
        code: as `closure.code_state` has it: modules of ours and files of the pipeline
            by digest, and the versions of what they import.
        distributions: all that are installed, sorted, each ``name==version``.
        machine: of what kind it was, and what told its libraries how to compute.
        execution: how the steps were computed: device, threads, precision, XLA, steps.
        quarantine: sha256 of the quarantine's file; empty where nothing was set aside.
        files: path among the run's artifacts to sha256.
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
    """An ingredient that is not what it was; empty where there is or was none."""

    kind: Literal["code", "lock", "device"]
    name: str
    then: str
    now: str


def training_roots(spec: PipelineSpec, builder: str) -> list[str]:
    """The modules that training enters by, those of the user's own among them."""
    own = [builder] * (not builder.isidentifier()) + [*spec.training.own_functions]
    return [
        "headrace.stages.training",
        extensions.modules("media")[spec.medium],
        *task_modules(spec.task, "labels", "head"),
        *([extensions.modules("models")[builder]] if builder.isidentifier() else ()),
        *(name.replace(":", ".").rpartition(".")[0] for name in own),
    ]


def differences(then: Ingredients, now: Ingredients) -> tuple[Difference, ...]:
    """What is not as it was.

    In this order: code, what that imports, what else is installed, how it was computed.
    """
    before, after = _parts(then), _parts(now)
    direct = {"python"} | {
        normal_name(name.removeprefix("version "))
        for name in {**then.code, **now.code}
        if name.startswith("version ")
    }

    def rank(part: tuple[str, str]) -> tuple[int, bool, str]:
        kind, name = part
        return ("code", "lock", "device").index(kind), name not in direct, name

    return tuple(
        Difference.model_validate(
            {
                "kind": part[0],
                "name": part[1],
                "then": before.get(part, ""),
                "now": after.get(part, ""),
            }
        )
        for part in sorted(before.keys() | after.keys(), key=rank)
        if before.get(part) != after.get(part)
    )


def _parts(ingredients: Ingredients) -> dict[tuple[str, str], str]:
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
    """Such as ``CPython 3.12.4``."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def distributions() -> tuple[str, ...]:
    """What is installed, sorted, each ``name==version``."""
    return tuple(f"{name}=={version}" for name, version in sorted(installed().items()))


def machine() -> dict[str, str]:
    """The processor, its vector instructions, the GPU, and settings of libraries."""
    cpu, instructions = _processor()
    found = {
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip(),
        "cpu": cpu,
        "instructions": instructions,
        "gpu": _gpu(),
        **{name: variable(name) for name in _VARIABLES},
    }
    return {name: value for name, value in found.items() if value}


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
