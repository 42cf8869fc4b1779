"""Versions: no older than those that are safe, and the same on both sides."""

from __future__ import annotations

import re
from importlib import metadata

from headrace_ops.doctor.check import Check

# Below these are known holes or faults that nothing here makes up for.
FLOORS = {
    "prefect": "3.6.28",
    "mlflow": "3.17.0",
    "keras": "3.15",
    "pillow": "12.2",
    "pyarrow": "14.0.1",
}


def check_versions() -> list[Check]:
    """The installed packages against their floors: one line if all is well."""
    seen, checks = [], []
    for package, floor in FLOORS.items():
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            checks.append(
                Check(
                    name=package,
                    state="wrong",
                    seen="not installed",
                    fix=f"pip install '{package}>={floor}'",
                )
            )
            continue
        seen.append(f"{package} {version}")
        if number(version) < number(floor):
            checks.append(
                Check(
                    name=package,
                    state="wrong",
                    seen=f"version {version}, which has known holes",
                    fix=f"pip install '{package}>={floor}'",
                )
            )
    return checks or [Check(name="versions", state="ok", seen=", ".join(seen))]


def compare(package: str, server: str, where: str) -> Check:
    """A server's version against this one and the floor."""
    name = f"{package} version"
    client = metadata.version(package)
    fix = f"Install {package} {client} there."
    if number(server) < number(FLOORS[package]):
        seen = f"{where} has {server}, which has known holes"
        return Check(name=name, state="wrong", seen=seen, fix=fix)
    if number(server)[:2] == number(client)[:2]:
        return Check(name=name, state="ok", seen=f"{server} there, {client} here")
    state = "wrong" if number(server)[0] != number(client)[0] else "hint"
    seen = f"{where} has {server}, here is {client}"
    return Check(name=name, state=state, seen=seen, fix=fix)  # type: ignore[arg-type]


def number(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, to be compared."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else (0,)
