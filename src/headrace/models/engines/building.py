"""Builds the engine of a version: exported and tested in a child process, then kept.

An engine is admitted only if what was written can be loaded and gives the golden
answers: an export may return without an error and have written no valid graph.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from headrace.errors import HeadraceError, UsageError
from headrace.home import check_present
from headrace.models.engines import formats
from headrace.models.engines.exporting import MODULE as EXPORTING
from headrace.models.engines.exporting import Order, content
from headrace.models.engines.stored import (
    GOLDEN,
    BuildAttempt,
    EngineRecord,
    is_recorded,
    keep,
    open_stored,
    read_record,
)
from headrace.settings import Settings
from headrace.state import background
from headrace.state.background import NICENESS
from headrace.state.framed import FramedProcess
from headrace.state.ledger.rows import Version

EXPORT_SECONDS = 600.0

log = logging.getLogger("headrace")


def build(version: Version, settings: Settings) -> str:
    """Build the engine of a version, unless it is kept; see `build_engine`."""
    if settings.engines == "none":
        return "keras"
    if formats.missing(formats.SERVES):
        log.info("%s is served by Keras: %s for more", version, formats.EXTRA)
        return "keras"
    with background.one_at_a_time(settings, "engines.lock"):
        record = read_record(version, settings)
        if record is not None and record.is_current:
            if record.engine == "keras":
                return "keras"
            if (engine := open_stored(version, settings)) is not None:
                engine.close()
                return record.engine
        return _build(version, settings)


def _build(version: Version, settings: Settings) -> str:
    name = formats.SERVES
    with attempt(version, settings, name) as (tried, files):
        record = EngineRecord(model_digest=version.model_digest, attempt=tried)
        if tried.reason:
            log.info("%s: no engine %s: %s", version, name, tried.reason)
            keep(record, {}, settings)
        else:
            golden = {GOLDEN: (files.parent / GOLDEN).read_bytes()}
            keep(record, content(files) | golden, settings)
            log.info(
                "%s: engine %s, %.2g ms, differs by %.1g",
                *(version, name, tried.latency_ms, tried.difference),
            )
    return record.engine


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
        versions = formats.libraries(name)
        yield result.model_copy(update={"libraries": versions}), folder


def _export(order: Order) -> BuildAttempt:
    """Have a child export, and wait for the result; its crash is one, too."""
    version, name = order.version, order.format
    process = FramedProcess(
        EXPORTING, f"export of {version} to {name}", niceness=NICENESS
    )
    header = order.model_dump(mode="json")
    try:
        report, _ = process.converse(header, b"", most_bytes=0, seconds=EXPORT_SECONDS)
        return BuildAttempt.model_validate(report)
    except UsageError:  # what is installed here does not suffice
        raise
    except HeadraceError as error:
        if process.code not in (None, -signal.SIGKILL, -signal.SIGTERM):  # it crashed
            return BuildAttempt(engine=name, reason=f"the export {process.failure}")
        if process.failure:
            raise
        raise process.error(f"has no result: {error.message}") from None
    finally:
        process.fail("is over")
        process.close()


def prepare_in_background(version: Version, settings: Settings) -> None:
    """Have the engine of a version built by a process that outlives this one.

    The process has a low priority and a log in the home, and ends by itself. Nothing is
    raised: an engine that is not built now is built at its first use.
    """
    try:
        if (
            settings.engines == "none"
            or formats.missing(formats.SERVES)
            or is_recorded(version, settings)
        ):
            return
        order, module = version.model_dump(mode="json"), f"{__package__}.background"
        background.start(module, order, "engines.log", settings)
    except (OSError, HeadraceError) as error:
        log.debug("%s: no engine is built in the background: %s", version, error)
