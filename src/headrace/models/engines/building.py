"""Builds the engine of a version: exported and tested in a child process, then kept.

An engine is admitted only if what was written can be loaded and gives the golden
answers: an export may return without an error and have written no valid graph.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import HeadraceError
from headrace.models.engines import forms
from headrace.models.engines.exporting import MODULE as EXPORTING
from headrace.models.engines.exporting import Order, content
from headrace.models.engines.stored import (
    GOLDEN,
    BuildAttempt,
    EngineRecord,
    StoredEngine,
    keep,
    read_record,
    read_stored,
)
from headrace.settings import Settings
from headrace.settings.home import check_present
from headrace.state.frames import FramedProcess
from headrace.state.ledger.records import Version

EXPORT_SECONDS = 600.0
NICENESS = 10  # answers come first

_alone = threading.Lock()  # an export takes a core and 1 GB
log = logging.getLogger("headrace")


def build_engine(version: Version, settings: Settings) -> StoredEngine | None:
    """The engine of a version that is kept; else it is exported, tested and kept now.

    That takes ten seconds or more, in a child process. What was found is recorded, and
    not tried again with the same versions of the libraries.

    Returns:
        None where Keras is to answer: the version cannot be exported, the extra is not
        installed, or engines are off.

    Raises:
        IntegrityError: the version's own file is gone or changed.
        DependencyError: the export was killed or took too long, which is no verdict.
        UsageError: what is installed does not suffice, or the home was deleted.
    """
    if settings.engines == "none":
        return None
    check_present(settings.home)  # else a ledger would be made in it
    if (stored := read_stored(version, settings)) is not None:
        return stored
    if forms.missing(forms.SERVES):
        log.info("%s is served by Keras: %s for more", version, forms.EXTRA)
        return None
    record = read_record(version, settings)
    if record is not None and record.engine == "keras" and record.is_current:
        return None
    with _alone:
        return _build(version, settings)


def _build(version: Version, settings: Settings) -> StoredEngine | None:
    name = forms.SERVES
    log.info("%s: its engine is built, which takes some seconds", version)
    with attempt(version, settings, name) as (tried, folder):
        record = EngineRecord(model_digest=version.model_digest, attempt=tried)
        if tried.reason:
            log.info("%s: no engine %s: %s", version, name, tried.reason)
            keep(record, {}, settings)
            return None
        files = content(folder) | {GOLDEN: (folder.parent / GOLDEN).read_bytes()}
    log.info(
        "%s: engine %s, %.2g ms, differs by %.1g",
        *(version, name, tried.latency_ms, tried.difference),
    )
    return StoredEngine(keep(record, files, settings), files)


@contextlib.contextmanager
def attempt(
    version: Version, settings: Settings, name: str
) -> Iterator[tuple[BuildAttempt, Path]]:
    """Export a version to a format and test it, in a child process.

    Yields:
        the result, and the folder of the files until the block ends; the golden file is
        beside it.

    Raises:
        IntegrityError: the version's own file is gone or changed.
        DependencyError: the child was killed, which is no verdict.
        UsageError: the home was deleted meanwhile.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-") as place:
        folder = Path(place) / "files"
        folder.mkdir()
        order = Order(
            version=version,
            settings=settings.for_child(),
            format=name,
            folder=folder,
        )
        result = _export(order)
        check_present(settings.home)  # it took seconds
        versions = forms.libraries(name)
        yield result.model_copy(update={"libraries": versions}), folder


def _export(order: Order) -> BuildAttempt:
    """Have a child export, and wait for the result; its crash is one, too."""
    version, name = order.version, order.format
    process = FramedProcess(
        EXPORTING, f"export of {version} to {name}", niceness=NICENESS
    )
    header = order.model_dump(mode="json")
    try:
        report, _ = process.converse(header, seconds=EXPORT_SECONDS)
        return BuildAttempt.model_validate(report)
    except HeadraceError:
        has_reported = not process.failure
        if has_reported or process.code in (None, -signal.SIGKILL, -signal.SIGTERM):
            raise
        return BuildAttempt(engine=name, reason=f"the export {process.failure}")
    finally:
        process.close()
