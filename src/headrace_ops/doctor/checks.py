"""One row of ``headrace doctor``, and the checks of this machine.

They look at home, store, models, versions, bytecode and telemetry.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from headrace import extensions
from headrace.errors import HeadraceError
from headrace.home import HOME_FORMAT
from headrace.records import Record, Shown
from headrace.settings import Settings, variable
from headrace.spec import load_spec
from headrace.spec.folders import pipeline_names
from headrace.state.remote import check_options

_HEAVY = ("prefect", "mlflow", "keras", "tensorflow", "great_expectations")
_OFF, _ON = {"0", "false", "no", "off"}, {"1", "true", "yes", "on"}
_REPORTS = {
    "MLFLOW_DISABLE_TELEMETRY": _OFF,
    "DO_NOT_TRACK": _OFF,
    "PREFECT_SERVER_ANALYTICS_ENABLED": _ON,
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": _ON,
    "GX_ANALYTICS_ENABLED": _ON,
}
# Older versions have known vulnerabilities or faults that Headrace cannot work around.
FLOORS = {
    "prefect": "3.6.28",
    "mlflow": "3.17.0",
    "keras": "3.15",
    "pillow": "12.2",
    "pyarrow": "14.0.1",
}


class DoctorCheck(Record):
    """The result of one check.

    Attributes:
        name: what was checked.
        state: ``hint`` works but could be better, ``wrong`` is configured wrongly,
            ``unreachable`` is configured and does not answer.
        seen: what the check saw. Passwords are hidden.
        fix: what to do; empty if all is well. Passwords are hidden.
    """

    name: str
    state: Literal["ok", "hint", "wrong", "unreachable"]
    seen: Shown
    fix: Shown = ""


def ok(name: str, text: str) -> DoctorCheck:
    """A check that found nothing to mend."""
    return DoctorCheck(name=name, state="ok", seen=text)


def hint(name: str, text: str, fix: str = "") -> DoctorCheck:
    """Works, but could be better."""
    return DoctorCheck(name=name, state="hint", seen=text, fix=fix)


def wrong(name: str, text: str, fix: str) -> DoctorCheck:
    """Configured wrongly, or damaged."""
    return DoctorCheck(name=name, state="wrong", seen=text, fix=fix)


def unreachable(name: str, text: str, fix: str) -> DoctorCheck:
    """Configured, and does not answer."""
    return DoctorCheck(name=name, state="unreachable", seen=text, fix=fix)


def is_writable(folder: Path) -> bool:
    """Whether a folder is writable, or can be created if it is missing."""
    nearest = next(p for p in (folder, *folder.parents) if p.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def check_home(settings: Settings) -> DoctorCheck:
    """The home: whether it exists, its format, and whether it is writable."""
    home = settings.home.absolute()
    if not is_writable(home):
        fix = "Set HEADRACE_HOME to a writable folder."
        return wrong("home", f"{home} is not writable", fix)
    if not home.exists():
        return ok("home", f"{home}, created by the first run")
    marker = home / "format"
    version = marker.read_text(errors="replace").strip() if marker.exists() else ""
    if version and version != HOME_FORMAT:
        message = f"{home} has format {version[:20]!r} instead of {HOME_FORMAT!r}"
        fix = "Use the release of Headrace that created it, or set HEADRACE_HOME."
        return wrong("home", message, fix)
    free = shutil.disk_usage(home).free / 2**30
    message = f"{home}, {free:.1f} GiB free"
    if free < 1:
        return hint("home", message, "Free disk space.")
    return ok("home", message)


def check_store(settings: Settings) -> DoctorCheck:
    """The store. A remote one is checked by writing and deleting an object."""
    check_options(settings)
    if "://" in settings.store:
        return _try_store(settings.store)
    folder = Path(settings.store).absolute()
    if is_writable(folder):
        return ok("store", str(folder))
    fix = "Set HEADRACE_STORE to a writable folder."
    return wrong("store", f"{folder} is not writable", fix)


def _try_store(uri: str) -> DoctorCheck:
    from headrace.state.store import Store

    key = f"doctor/{uuid.uuid4().hex}"
    try:
        store = Store(uri)
        store.write(key, b"written by headrace doctor")
        store.fs.rm_file(store.path(key))
    except (ImportError, ValueError) as error:
        is_s3 = uri.startswith("s3")
        fix = "pip install 'headrace[s3]'" if is_s3 else "Correct the URL."
        return wrong("store", f"{uri}: {error}", fix)
    except (OSError, HeadraceError) as error:
        state = wrong if isinstance(error, PermissionError) else unreachable
        fix = (
            "Check its address and keys (for S3: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY)."
        )
        return state("store", f"{uri} cannot be written: {error}", fix)
    return ok("store", uri)


def check_models(settings: Settings) -> Iterator[DoctorCheck]:
    """Each champion's model file, golden file and answers, in one clean process."""
    from headrace.models.logged.soundness.checks import find_mismatches
    from headrace.state.home import Home
    from headrace.state.ledger import ledger_exists

    if not ledger_exists(settings.database_url):
        return
    home = Home(settings)
    entries = (home.ledger.champion(model) for model in home.ledger.models())
    champions = [champion.version for champion in entries if champion is not None]
    mismatches = find_mismatches(champions, home, anew=True)
    messages = {one.model: one.message for one in reversed(mismatches)}
    for v in champions:
        name = f"model {v.model}"
        if v.model in messages:
            message = f"the champion, version {v.version}: {messages[v.model]}"
            yield wrong(name, message, f"headrace verify {v.model} --repair")
            continue
        message = "its files are as registered, and so are its golden answers"
        yield ok(name, f"version {v.version}: {message}")


def check_extensions(_: Settings) -> Iterator[DoctorCheck]:
    """Whether each thing that an installed package adds can be imported."""
    for kind, points in extensions.added().items():
        for point in points:
            package = point.dist and f"{point.dist.name} {point.dist.version}"
            name, origin = f"{kind} {point.name}", f"{point.value} of {package}"
            try:
                extensions.load(kind, point.name)
            except HeadraceError as error:
                yield wrong(name, f"{origin}: {error.message}", error.action)
            else:
                yield ok(name, origin)


def check_pipelines(settings: Settings) -> Iterator[DoctorCheck]:
    """Pipeline files that cannot be read."""
    for name, folder in pipeline_names(settings).items():
        try:
            load_spec(folder)
        except HeadraceError as error:
            message, fix = error.message.partition("\n")[0], error.action
            yield wrong(f"pipeline {name}", message, fix or f"headrace check {name}")


def check_versions(_: Settings) -> list[DoctorCheck]:
    """The installed packages against the oldest allowed versions."""
    installed = {package: _version(package) for package in FLOORS}
    too_old = [
        wrong(
            package,
            f"version {version} has known faults" if version else "not installed",
            f"pip install '{package}>={FLOORS[package]}'",
        )
        for package, version in installed.items()
        if number(version) < number(FLOORS[package])
    ]
    return too_old or [ok("versions", ", ".join(map(" ".join, installed.items())))]


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def compare(package: str, server: str, where: str) -> DoctorCheck:
    """A server's version against the local one and the oldest allowed one."""
    name = f"{package} version"
    client = metadata.version(package)
    fix = f"Install {package} {client} on the server."
    if number(server) < number(FLOORS[package]):
        return wrong(name, f"{where} has {server}, which has known faults", fix)
    if number(server)[:2] == number(client)[:2]:
        return ok(name, f"server {server}, client {client}")
    state = hint if number(server)[0] == number(client)[0] else wrong
    return state(name, f"{where} has {server}, this machine has {client}", fix)


def number(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, for comparison."""
    digits = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, digits.group().split("."))) if digits else (0,)


def check_signing(settings: Settings) -> DoctorCheck:
    """The key that signs, and the library for it."""
    from headrace.state.signing import check_signing_key

    if not settings.signing_key_file:
        return ok("signing", "no key is set: nothing is signed")
    try:
        check_signing_key(settings)
    except HeadraceError as error:
        return wrong("signing", error.message, error.action)
    return ok("signing", f"signs with the key {settings.signing_key_file}")


def check_bytecode(_: Settings) -> DoctorCheck:
    """Whether the large libraries have bytecode, or are compiled at every start."""
    specs = {name: importlib.util.find_spec(name) for name in _HEAVY}
    origins = {n: spec.origin for n, spec in specs.items() if spec and spec.origin}
    missing = {n: origin for n, origin in origins.items() if not _is_compiled(origin)}
    if not missing:
        return ok("bytecode", "present")
    folders = " ".join(sorted({str(Path(o).parents[1]) for o in missing.values()}))
    message = f"missing for {', '.join(missing)}: each start takes twice as long"
    fix = f"env -u PYTHONDONTWRITEBYTECODE python -m compileall -q {folders}"
    return hint("bytecode", message, fix)


def _is_compiled(source: str) -> bool:
    return Path(importlib.util.cache_from_source(source)).exists()


def check_metrics(_: Settings) -> DoctorCheck:
    """The libraries for system metrics: psutil, and pynvml if there is a GPU."""
    if not Path("/dev/nvidia0").exists():
        return ok("system metrics", "psutil (there is no NVIDIA GPU)")
    if importlib.util.find_spec("pynvml"):
        return ok("system metrics", "psutil and pynvml")
    message = "nvidia-ml-py is missing: runs log no GPU metrics"
    return hint("system metrics", message, "pip install nvidia-ml-py")


def check_telemetry(_: Settings) -> DoctorCheck:
    """Whether the environment turns on the telemetry of a library."""
    reporting = [n for n, values in _REPORTS.items() if variable(n).lower() in values]
    if not reporting:
        return ok("telemetry", "off")
    message = f"on: {', '.join(f'{name}={variable(name)}' for name in reporting)}"
    return hint("telemetry", message, f"unset {' '.join(reporting)}")
