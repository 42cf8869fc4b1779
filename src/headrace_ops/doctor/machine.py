"""This machine: home, store, models, versions, what slows a start, what is sent out."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.home import HOME_FORMAT
from headrace.settings import Settings, variable
from headrace_ops.doctor.check import Check, hint, ok, unreachable, wrong

_HEAVY = ("prefect", "mlflow", "keras", "tensorflow", "great_expectations")
_REPORT_IF_ON = (
    "PREFECT_SERVER_ANALYTICS_ENABLED",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY",
    "GX_ANALYTICS_ENABLED",
)
_REPORT_IF_OFF = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK")

# Below these are known holes or faults that nothing here makes up for.
FLOORS = {
    "prefect": "3.6.28",
    "mlflow": "3.17.0",
    "keras": "3.15",
    "pillow": "12.2",
    "pyarrow": "14.0.1",
}


def _is_writable(folder: Path) -> bool:
    """Whether a folder can be written, or made where it is missing."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def check_home(settings: Settings) -> Iterator[Check]:
    """The home: there or not yet, its format, whether it can be written."""
    home = settings.home.absolute()
    marker = home / "format"
    if not _is_writable(home):
        fix = "Set HEADRACE_HOME to a folder that can be written."
        yield wrong("home", f"{home} cannot be written", fix)
        return
    if not home.exists():
        yield ok("home", f"{home}, made by the first run")
        return
    found = marker.read_text(errors="replace").strip() if marker.exists() else ""
    if found and found != HOME_FORMAT:
        seen = f"{home} has format {found[:20]!r}, this version {HOME_FORMAT!r}"
        fix = "Use the Headrace that made it, or another HEADRACE_HOME."
        yield wrong("home", seen, fix)
        return
    free = shutil.disk_usage(home).free / 2**30
    seen = f"{home}, {free:.1f} GiB free"
    yield hint("home", seen, "Make room.") if free < 1 else ok("home", seen)


def check_store(settings: Settings) -> Iterator[Check]:
    """The store; where it is there, by writing to it and taking that away again."""
    uri = settings.store
    if "://" in uri:
        yield _try_store(uri)
        return
    folder = Path(uri).absolute()
    if _is_writable(folder):
        yield ok("store", str(folder))
    else:
        fix = "Set HEADRACE_STORE to a place that can be."
        yield wrong("store", f"{folder} cannot be written", fix)


def _try_store(uri: str) -> Check:
    from headrace.state.store import Store

    key = f"doctor/{uuid.uuid4().hex}"
    try:
        store = Store(uri)
        store.write(key, b"written by headrace doctor")
        store.fs.rm_file(store.path(key))
    except (ImportError, ValueError) as error:
        fix = "pip install 'headrace[s3]'" if uri.startswith("s3") else "Correct it."
        return wrong("store", f"{uri}: {error}", fix)
    except (OSError, HeadraceError) as error:
        state = wrong if isinstance(error, PermissionError) else unreachable
        fix = (
            "Check its address and keys (for S3: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY)."
        )
        return state("store", f"{uri} cannot be written: {error}", fix)
    return ok("store", uri)


def check_models(settings: Settings) -> Iterator[Check]:
    """Each champion's model file, golden file and answers, in one clean process."""
    from headrace.models.logged.soundness.checks import find_flaws, find_wrong_answers
    from headrace.state.ledger import Ledger, is_there

    if not is_there(settings.database_url):
        return
    ledger = Ledger(settings.database_url)
    entries = (ledger.champion(model) for model in ledger.models())
    champions = [champion.version for champion in entries if champion is not None]
    lost = {v.model: find_flaws(v, settings) for v in champions}
    flaws = {model: found[0] for model, found in lost.items() if found}
    whole = [v for v in champions if v.model not in flaws]
    for version, flaw in zip(whole, find_wrong_answers(whole, settings), strict=True):
        if flaw is not None:
            flaws[version.model] = flaw
    for v in champions:
        name = f"model {v.model}"
        if v.model in flaws:
            seen = f"the champion, version {v.version}: {flaws[v.model].message}"
            yield wrong(name, seen, f"headrace repair {v.model}")
        elif v.golden_digest:
            seen = f"version {v.version}: its files are as registered, it answers as "
            yield ok(name, seen + "then")
        else:
            seen = f"version {v.version}: its file is as registered; no golden answers "
            yield ok(name, seen + "were recorded with it")


def check_versions(_: Settings) -> Iterator[Check]:
    """The installed packages against their floors: one line if all is well."""
    present, is_well = [], True
    for package, floor in FLOORS.items():
        try:
            version = metadata.version(package)
            seen = f"version {version}, which has known holes"
        except metadata.PackageNotFoundError:
            version, seen = "", "not installed"
        if number(version) < number(floor):
            yield wrong(package, seen, f"pip install '{package}>={floor}'")
            is_well = False
        present.append(f"{package} {version}")
    if is_well:
        yield ok("versions", ", ".join(present))


def compare(package: str, server: str, where: str) -> Check:
    """A server's version against this one and the floor."""
    name = f"{package} version"
    client = metadata.version(package)
    fix = f"Install {package} {client} there."
    if number(server) < number(FLOORS[package]):
        return wrong(name, f"{where} has {server}, which has known holes", fix)
    if number(server)[:2] == number(client)[:2]:
        return ok(name, f"{server} there, {client} here")
    state = hint if number(server)[0] == number(client)[0] else wrong
    return state(name, f"{where} has {server}, here is {client}", fix)


def number(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, to be compared."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else (0,)


def check_bytecode(_: Settings) -> Iterator[Check]:
    """Whether the large libraries are compiled again at every start."""
    missing = {name: _origin(name) for name in _HEAVY if not _is_compiled(name)}
    if not missing:
        yield ok("bytecode", "present")
        return
    folders = " ".join(sorted({str(Path(o).parents[1]) for o in missing.values()}))
    seen = f"missing for {', '.join(missing)}: each start takes twice as long"
    fix = f"env -u PYTHONDONTWRITEBYTECODE python -m compileall -q {folders}"
    yield hint("bytecode", seen, fix)


def _origin(name: str) -> str:
    spec = importlib.util.find_spec(name)
    return spec.origin or "" if spec else ""


def _is_compiled(name: str) -> bool:
    origin = _origin(name)
    return not origin or Path(importlib.util.cache_from_source(origin)).exists()


def check_metrics(_: Settings) -> Iterator[Check]:
    """What system metrics need: psutil, and beside a GPU its library."""
    has_gpu = Path("/dev/nvidia0").exists()
    needed = {"psutil": "psutil"} | ({"pynvml": "nvidia-ml-py"} if has_gpu else {})
    missing = [p for name, p in needed.items() if not importlib.util.find_spec(name)]
    if missing:
        seen = f"{', '.join(missing)} missing: a run shows no load"
        yield hint("system metrics", seen, f"pip install {' '.join(missing)}")
    else:
        seen = "psutil and pynvml" if has_gpu else "psutil (there is no NVIDIA GPU)"
        yield ok("system metrics", seen)


def check_telemetry(_: Settings) -> Iterator[Check]:
    """Whether someone has turned on that libraries report home."""
    values = {n: variable(n).lower() for n in _REPORT_IF_ON + _REPORT_IF_OFF}
    found = [n for n in _REPORT_IF_OFF if values[n] in {"0", "false", "no", "off"}]
    found += [n for n in _REPORT_IF_ON if values[n] in {"1", "true", "yes", "on"}]
    if found:
        seen = f"on: {', '.join(f'{name}={variable(name)}' for name in found)}"
        yield hint("telemetry", seen, f"unset {' '.join(found)}")
    else:
        yield ok("telemetry", "off")
