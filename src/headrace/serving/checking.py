"""Opens versions for a swap, once another process has checked them.

That process opens a version's engine and compares the golden answers, beside the server
and at a lower priority. If a runtime crashes on a file, it crashes there. The server
opens the same files then, by their digests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import ValidationError

from headrace.errors import IntegrityError
from headrace.explanations import Verdict
from headrace.models.engines import EngineProcess, open_engine
from headrace.models.engines.stored import EngineRecord, open_unchecked, read_files
from headrace.records import Record
from headrace.serving.served import Served, open_served, served_by
from headrace.state.frames import BrokenFrameError, Header
from headrace.state.on_demand import OnDemand

if TYPE_CHECKING:
    from headrace.models.engines import Engine
    from headrace.serving.answered import Role
    from headrace.settings import Settings
    from headrace.state.ledger import Version

MODULE = "headrace.serving.checking_process"
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0
QUIET_SECONDS = 60.0
NICENESS = 10  # answers come first
log = logging.getLogger("headrace")


class Checked(Record):
    """What the process found.

    Attributes:
        engine: the record of the engine that gave the golden answers; None: the version
            has none, and Keras answers.
        shape: of one of its answers; ``()`` without an engine.
        sanity: see `Served`; None: the ledger could not be asked.
        notes: why an engine was not opened, for the log.
    """

    engine: EngineRecord | None
    shape: tuple[int, ...]
    sanity: dict[str, Verdict] | None
    notes: tuple[str, ...]


class Checks:
    """Opens versions; to be called by one thread at a time, as by the `Watcher`.

    Args:
        settings: where their files are.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process = OnDemand(
            MODULE,
            "process that checks versions",
            lambda: {"settings": settings.for_child()},
            niceness=NICENESS,
            start_seconds=START_SECONDS,
            quiet_seconds=QUIET_SECONDS,
        )

    def open(self, row: Version, role: Role) -> Served:
        """Open a version.

        Raises:
            IntegrityError: it does not give the golden answers, or a file was changed.
            DependencyError: a file cannot be read now, or a process does not start.
            Exception: the runtime's own, if it does not open the file here.
        """
        if self._settings.engines == "none":  # a process opens it as it is
            return open_served(row, self._settings, open_engine, role)
        checked = self._process.ask(
            {"version": row.model_dump(mode="json")},
            b"",
            _read,
            most_bytes=0,
            seconds=ANSWER_SECONDS,
        )
        for note in checked.notes:
            log.warning("%s", note)
        if checked.engine is None:
            engine: Engine = EngineProcess(row, self._settings)
        else:
            engine = self._open(row, checked.engine, checked.shape)
        served = served_by(engine, row, role, self._settings)
        if checked.sanity is not None:
            served.sanity = checked.sanity
        return served

    def _open(
        self, row: Version, record: EngineRecord, shape: tuple[int, ...]
    ) -> Engine:
        files = read_files(row, record, self._settings)
        if files is None:
            raise IntegrityError(
                f"The files of the engine of {row} have just changed.",
                "They are read again in some seconds.",
            )
        return open_unchecked(files, shape)

    def close(self) -> None:
        """End the process, if there is one."""
        self._process.close()


def _read(header: Header, _: bytearray) -> Checked:
    try:
        return Checked.model_validate(header)
    except ValidationError as error:  # of another release, installed meanwhile
        raise BrokenFrameError(str(error)) from None
