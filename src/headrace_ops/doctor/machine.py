"""This machine: the home, what slows each start, what is measured, what is told."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

from headrace.home import HOME_FORMAT
from headrace.settings import Settings
from headrace_ops.doctor.check import Check

_HEAVY = ("prefect", "mlflow", "keras", "tensorflow", "great_expectations")
_ON = {"1", "true", "yes", "on"}
_OFF = {"0", "false", "no", "off"}


def check_home(settings: Settings) -> list[Check]:
    """The home: there or not yet, its format, whether it can be written."""
    home = settings.home.absolute()
    nearest = next(p for p in (home, *home.parents) if p.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        return [
            Check(
                name="home",
                state="wrong",
                seen=f"{home} cannot be written",
                fix="Set HEADRACE_HOME to a folder that can be written.",
            )
        ]
    if nearest != home:
        return [Check(name="home", state="ok", seen=f"{home}, made by the first run")]
    marker = home / "format"
    found = marker.read_text(errors="replace").strip() if marker.exists() else ""
    if found and found != HOME_FORMAT:
        return [
            Check(
                name="home",
                state="wrong",
                seen=f"{home} has format {found[:20]!r}, this version {HOME_FORMAT!r}",
                fix="Use the Headrace that made it, or another HEADRACE_HOME.",
            )
        ]
    free = shutil.disk_usage(home).free / 2**30
    seen = f"{home}, {free:.1f} GiB free"
    if free < 1:
        return [Check(name="home", state="hint", seen=seen, fix="Make room.")]
    return [Check(name="home", state="ok", seen=seen)]


def check_bytecode() -> list[Check]:
    """Whether the large libraries are compiled again at every start."""
    without = [name for name in _HEAVY if not _is_compiled(name)]
    if not without:
        return [Check(name="bytecode", state="ok", seen="present")]
    places = {_folder(name).parent for name in without}
    folders = " ".join(sorted(map(str, places)))
    return [
        Check(
            name="bytecode",
            state="hint",
            seen=f"missing for {', '.join(without)}: each start takes twice as long",
            fix=f"env -u PYTHONDONTWRITEBYTECODE python -m compileall -q {folders}",
        )
    ]


def _is_compiled(name: str) -> bool:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return True
    return Path(importlib.util.cache_from_source(spec.origin)).exists()


def _folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin if spec and spec.origin else ".").parent


def check_metrics() -> list[Check]:
    """What system metrics need: psutil, and beside a GPU its library."""
    missing = [] if importlib.util.find_spec("psutil") else ["psutil"]
    has_gpu = Path("/dev/nvidia0").exists()
    if has_gpu and importlib.util.find_spec("pynvml") is None:
        missing.append("nvidia-ml-py")
    if missing:
        return [
            Check(
                name="system metrics",
                state="hint",
                seen=f"{', '.join(missing)} missing: a run shows no load",
                fix=f"pip install {' '.join(missing)}",
            )
        ]
    seen = "psutil and pynvml" if has_gpu else "psutil (there is no NVIDIA GPU)"
    return [Check(name="system metrics", state="ok", seen=seen)]


def check_telemetry() -> list[Check]:
    """Whether someone has turned on that libraries report home."""
    off = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")
    on = (
        "PREFECT_SERVER_ANALYTICS_ENABLED",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY",
        "GX_ANALYTICS_ENABLED",
    )
    found = [n for n in off if os.environ.get(n, "").lower() in _OFF]
    found += [n for n in on if os.environ.get(n, "").lower() in _ON]
    if not found:
        return [Check(name="telemetry", state="ok", seen="off")]
    settings = ", ".join(f"{name}={os.environ[name]}" for name in found)
    return [
        Check(
            name="telemetry",
            state="hint",
            seen=f"on: {settings}",
            fix=f"unset {' '.join(found)}",
        )
    ]
