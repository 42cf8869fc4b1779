"""Builds the engine of a version: exported and tested in a child process, then kept.

An engine is admitted only if what was written can be loaded and gives the golden
answers: an export may return without an error and have written no valid graph.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from headrace.errors import DependencyError, HeadraceError
from headrace.home import check_present
from headrace.models.engines import formats
from headrace.models.engines.exporting import NO_VERDICT, REPORT, Order, content
from headrace.models.engines.stored import (
    GOLDEN,
    Attempt,
    EngineRecord,
    is_recorded,
    keep,
    open_stored,
    read_record,
)
from headrace.settings import Settings
from headrace.state import children
from headrace.state.disk import open_log, shared_temporary_folder
from headrace.state.ledger.rows import Version

EXPORT_SECONDS = 600.0
NICENESS = 10  # requests come first, but an export must not take forever
_LOG, _LOG_BYTES = "engines.log", 2**20

log = logging.getLogger("headrace")


def build(version: Version, settings: Settings) -> str:
    """Build the engine of a version, unless it is kept; see `build_engine`."""
    possible = [name for name in formats.ENGINES if not formats.missing(name)]
    if settings.engines == "none" or not possible:
        if settings.engines != "none":
            log.info("%s is served by Keras: %s for more", version, formats.EXTRA)
        return "keras"
    with _only_builder(settings):
        record = read_record(version, settings)
        if record is not None and record.is_current:
            if record.engine == "keras":
                return "keras"
            if (engine := open_stored(version, settings)) is not None:
                engine.close()
                return record.engine
        return _build(version, settings, possible)


def _build(version: Version, settings: Settings, possible: list[str]) -> str:
    record = EngineRecord(model_digest=version.model_digest, engine="keras")
    for name in possible:
        with attempt(version, settings, name) as (tried, files):
            record = record.model_copy(update={"attempts": (*record.attempts, tried)})
            if tried.reason:
                log.info("%s: no engine %s: %s", version, name, tried.reason)
                continue
            record = record.model_copy(update={"engine": name})
            golden = {GOLDEN: (files.parent / GOLDEN).read_bytes()}
            keep(record, content(files) | golden, settings)
            log.info(
                "%s: engine %s, %.2g ms, differs by %.1g",
                *(version, name, tried.latency_ms, tried.difference),
            )
            return name
    keep(record, {}, settings)
    return "keras"


@contextlib.contextmanager
def attempt(
    version: Version, settings: Settings, name: str
) -> Iterator[tuple[Attempt, Path]]:
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
        reason = _run(order)
        check_present(settings.home)  # it took seconds
        try:
            report = (folder.parent / REPORT).read_bytes()
            result = Attempt.model_validate_json(report)
        except (FileNotFoundError, ValidationError):
            result = Attempt(engine=name, reason=reason)
        versions = formats.libraries(name)
        yield result.model_copy(update={"libraries": versions}), folder


def _run(order: Order) -> str:
    """Run the child; why it ended, should it have no result.

    Its standard input stays open: when this process ends in any way, so does the child.
    """
    with tempfile.TemporaryFile() as messages:
        child = children.start(
            "headrace.models.engines.exporting",
            niceness=NICENESS,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            process_group=0,
        )
        try:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(order.model_dump_json().encode() + b"\n")  # type: ignore[union-attr]
                child.stdin.flush()  # type: ignore[union-attr]
            code = child.wait(EXPORT_SECONDS)
        except subprocess.TimeoutExpired:  # of a busy machine: no verdict
            raise DependencyError(
                f"The export of {order.version} to {order.format} took more than "
                f"{EXPORT_SECONDS:g} s.",
                "Run the same command again.",
            ) from None
        finally:
            child.kill()
            child.wait()
            with contextlib.suppress(BrokenPipeError):
                child.stdin.close()  # type: ignore[union-attr]
        last = _last_line(messages.fileno())
    if code in (-signal.SIGKILL, -signal.SIGTERM, NO_VERDICT):
        raise DependencyError(
            f"The export of {order.version} to {order.format} ended with {code}{last}.",
            "Run the same command again; with more memory, if it was killed.",
        )
    return f"the export ended with {code}{last}"


def _last_line(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    text = os.pread(descriptor, 4096, max(0, size - 4096)).decode(errors="replace")
    lines = text.strip().splitlines()
    return f": {lines[-1][:300]}" if lines else ""


@contextlib.contextmanager
def _only_builder(settings: Settings) -> Iterator[None]:
    """Wait until no other process of this home builds an engine."""
    check_present(settings.home)
    with (settings.home / "engines.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare_in_background(version: Version, settings: Settings) -> None:
    """Have the engine of a version built by a process that outlives this one.

    The process has a low priority and a log in the home, and ends by itself. Nothing is
    raised: an engine that is not built now is built at its first use.
    """
    try:
        if (
            settings.engines == "none"
            or all(map(formats.missing, formats.ENGINES))
            or is_recorded(version, settings)
        ):
            return
        path = settings.home / _LOG
        is_long = path.is_file() and path.stat().st_size > _LOG_BYTES
        order = Order(version=version, settings=settings.for_child())
        with (
            tempfile.TemporaryFile() as given,
            open_log(path, is_new=is_long) as out,
        ):
            given.write(order.model_dump_json().encode() + b"\n")
            given.seek(0)
            children.start(
                "headrace.models.engines.background",
                niceness=NICENESS,
                stdin=given,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, "TMPDIR": shared_temporary_folder()},
            )
    except (OSError, HeadraceError) as error:
        log.debug("%s: no engine is built in the background: %s", version, error)
