"""One row of ``headrace doctor``, and the checks of this machine."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from headrace import extensions
from headrace.errors import HeadraceError
from headrace.records import Record, Shown
from headrace.settings import Settings
from headrace.state.remote import check_options

_PACKAGES = ("prefect", "mlflow", "keras", "tensorflow", "great_expectations")


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


def check_home(settings: Settings) -> Iterator[DoctorCheck]:
    """The home: whether it is writable, and its space."""
    home = settings.home.absolute()
    if not is_writable(home):
        fix = "To run pipelines, set HEADRACE_HOME to a writable folder."
        yield wrong("home", f"{home} is not writable", fix)
    elif not home.exists():
        yield ok("home", f"{home}, created by the first run")
    else:
        free = shutil.disk_usage(home).free / 2**30
        message = f"{home}, {free:.1f} GiB free"
        yield ok("home", message) if free >= 1 else hint("home", message, "Make room.")


def check_store(settings: Settings) -> Iterator[DoctorCheck]:
    """The store. A remote one is checked by writing and deleting an object."""
    from headrace.state.store import Store

    check_options(settings)
    place = settings.store
    if "://" not in place:
        folder = Path(place).absolute()
        fix = "Set HEADRACE_STORE to a writable folder."
        is_fine = is_writable(folder)
        text = str(folder) if is_fine else f"{folder} is not writable"
        yield ok("store", text) if is_fine else wrong("store", text, fix)
        return
    store, key = Store(place), f"doctor/{uuid.uuid4().hex}"
    store.write(key, b"written by headrace doctor")
    store.fs.rm_file(store.path(key))
    yield ok("store", place)


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


def check_versions(_: Settings) -> Iterator[DoctorCheck]:
    """The installed versions, for a report of a fault."""
    names = ("headrace", *_PACKAGES)
    yield ok("versions", ", ".join(f"{n} {metadata.version(n)}" for n in names))


def check_signing(settings: Settings) -> Iterator[DoctorCheck]:
    """The key that signs, and the library for it."""
    from headrace.state.signing import check_signing_key

    if settings.signing_key_file:
        check_signing_key(settings)
        yield ok("signing", f"signs with the key {settings.signing_key_file}")
    else:
        yield ok("signing", "no key is set: nothing is signed")
