"""The files of a registered version, without MLflow where they are on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import IntegrityError
from headrace.models.logged.soundness.copies import zeros_key
from headrace.settings import Settings
from headrace.state.home import Home
from headrace.state.ledger.records import Version


@contextlib.contextmanager
def model_file(version: Version, settings: Settings) -> Iterator[Path]:
    """The Keras file of a version, checked by digest.

    Raises:
        IntegrityError: it is gone, perhaps for good, or not the file that was
            registered; and where the block raises one, the same with the version and
            how to repair it.
    """
    try:
        with Home(settings).tracking.version_file(version) as path:
            yield path
    except IntegrityError as error:
        Home(settings).ledger.facts.require_files(version, IntegrityError)
        raise IntegrityError(f"{version}: {error.message}", mend(version)) from error


def mend(version: Version) -> str:
    """What to do about a version whose files are damaged."""
    return f"Run `headrace verify {version.model}/{version.version} --repair`."


def golden_bytes(version: Version, settings: Settings) -> bytes:
    """The golden file of a version, checked if its digest is known.

    Raises:
        IntegrityError: it is gone or changed.
    """
    home = Home(settings)
    try:
        return home.tracking.version_golden(version)
    except IntegrityError:
        in_place = home.store.find(zeros_key(version))
        if in_place is not None and home.ledger.facts.is_deleted(version):
            return in_place
        home.ledger.facts.require_files(version, IntegrityError)
        raise
