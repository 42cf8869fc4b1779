"""Watches the ledger: a promotion or a rollback reaches the server within seconds.

A thread for each model opens the new champion while the former one answers; an engine
that is not kept is built first. Then one reference is replaced. A version that does not
load leaves the former one, and is tried again later and later; if the process of a
version ends, it is opened again, whatever else does not load. Without its ledger the
server serves on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import make_url

from headrace.errors import DependencyError, HeadraceError
from headrace.serving.backoff import Backoff
from headrace.serving.listing import Slot
from headrace.serving.metrics import exposed
from headrace.serving.served import Served
from headrace.state.ledger import Ledger

if TYPE_CHECKING:
    from prometheus_client import Metric

    from headrace.serving.answered import Role
    from headrace.state.ledger import Version

POLL_SECONDS = 0.5
PAUSES_SECONDS = 2.0, 300.0  # before a version is tried again: the first, the longest
log = logging.getLogger("headrace")
Open = Callable[["Version", "Role"], Served]
Replace = Callable[[Slot, Served], None]


class Watcher:
    """Keeps the models of a server at what the ledger has.

    Args:
        slots: the models.
        url: of the ledger.
        open_: opens a version for the role, and checks it.
        replace: puts a version in the place of the former one, in the event loop.

    Attributes:
        ledger_failure: why the ledger cannot be read; empty while it can.
    """

    def __init__(
        self,
        slots: list[Slot],
        url: str,
        open_: Open,
        replace: Replace,
    ) -> None:
        self._slots, self._url = slots, url
        self._open, self._replace = open_, replace
        self._ledger: Ledger | None = None
        self._retries: dict[tuple[str, int], Backoff] = {}
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.ledger_failure = ""
        self.swaps: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def start(self) -> None:
        """Watch from now on; called in the event loop."""
        self._loop = asyncio.get_running_loop()
        for slot in self._slots:
            watch, name = partial(self._watch, slot), f"watcher of {slot.model}"
            threading.Thread(target=watch, daemon=True, name=name).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()

    def notice(self) -> dict[str, str]:
        """What `ready` says of the ledger."""
        return {"ledger": "does not answer"} if self.ledger_failure else {}

    def metrics(self) -> Iterator[Metric]:
        """Swaps, failures, and whether the ledger answers."""
        for name, about, counts in (
            ("swaps_total", "Versions that replaced another.", self.swaps),
            ("load_failures_total", "Versions that did not load.", self.failures),
        ):
            values = [({"model": s.model}, counts[s.model]) for s in self._slots]
            yield exposed(name, "counter", about, values)
        is_up = float(not self.ledger_failure)
        yield exposed("ledger_up", "gauge", "Whether it answers.", [({}, is_up)])

    def _watch(self, slot: Slot) -> None:
        while not self._stopped.wait(POLL_SECONDS):
            self._look(slot)

    def _look(self, slot: Slot) -> None:
        """Open what has ended, whatever else is wrong; then what the ledger wants."""
        wanted = self._wanted(slot)
        for served in list(slot.versions.values()):
            if served.failure:
                self._load(slot, served.row, served.role)
        if wanted is not None:
            # Others were to answer, and are not any more.
            for version in slot.failures.keys() - {*slot.versions, wanted.version}:
                self._forget(slot, version)
            if slot.current is None or slot.current.version != wanted.version:
                self._load(slot, wanted, "champion")

    def _wanted(self, slot: Slot) -> Version | None:
        """The champion that should answer; None where there is none, or no ledger."""
        if not slot.follows:
            return None
        try:
            champion = self._open_ledger().champion(slot.model)
        except Exception as error:  # the watch goes on, whatever the ledger does
            self._note_ledger(str(error))
            return None
        self._note_ledger("")
        return champion.version if champion is not None else None

    def _open_ledger(self) -> Ledger:
        url = make_url(self._url)
        if url.drivername.startswith("sqlite") and not Path(str(url.database)).exists():
            self._ledger = None  # SQLite would make an empty one
            raise DependencyError(f"The ledger {url.database} is gone.")
        if self._ledger is None:
            self._ledger = Ledger(self._url)
        return self._ledger

    def _note_ledger(self, failure: str) -> None:
        if failure and not self.ledger_failure:
            log.warning("serve: %s The versions that are loaded answer on.", failure)
        elif self.ledger_failure and not failure:
            log.info("serve: the ledger answers again")
        self.ledger_failure = failure

    def _load(self, slot: Slot, row: Version, role: Role) -> None:
        """Open a version and let it answer, if it loads; note why it does not."""
        name = slot.model, row.version
        retry = self._retries.setdefault(name, Backoff(*PAUSES_SECONDS))
        if not retry.is_over:
            return
        ended = slot.versions.get(row.version)
        if ended is not None and ended.failure:
            log.warning("serve: %s is opened again: its process %s", row, ended.failure)
        try:
            served = self._open(row, role)
        except Exception as error:  # the former version answers on
            if not self._stopped.is_set():
                retry.failed()
                self._note_failure(slot, row, error)
            return
        self._forget(slot, row.version)
        if role == "champion" and ended is None and self._is_outdated(slot, row):
            served.close()  # it was rolled back while its engine was built
            return
        if self.ledger_failure and ended is not None:
            served.sanity = ended.sanity  # it could not be asked
        if self._loop is not None and not self._stopped.is_set():
            done = threading.Event()
            with contextlib.suppress(RuntimeError):  # the server has just ended
                self._loop.call_soon_threadsafe(self._swap, slot, served, done)
                done.wait()
                return
        served.close()

    def _note_failure(self, slot: Slot, row: Version, error: Exception) -> None:
        reason = f"version {row.version} does not load"
        slot.failures = {**slot.failures, row.version: reason}
        self.failures[slot.model] += 1
        kind = "" if isinstance(error, HeadraceError) else f"{type(error).__name__}: "
        log.warning("serve: %s does not load: %s%s", row, kind, error)

    def _is_outdated(self, slot: Slot, row: Version) -> bool:
        """Whether another version is the champion by now."""
        wanted = self._wanted(slot)
        return wanted is not None and wanted.version != row.version

    def _forget(self, slot: Slot, version: int) -> None:
        """A version has not failed, or does not matter any more."""
        others = {v: reason for v, reason in slot.failures.items() if v != version}
        slot.failures = others  # as a whole: the event loop reads it
        self._retries.pop((slot.model, version), None)

    def _swap(self, slot: Slot, served: Served, done: threading.Event) -> None:
        try:
            self._replace(slot, served)
        finally:  # else nothing would be watched any more
            done.set()
        self.swaps[slot.model] += 1
        log.info("serve: %s answers, by %s", served, served.engine.name)
