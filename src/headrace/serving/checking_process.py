"""The process of `Checks`: it opens engines, and compares their golden answers."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from logging.handlers import BufferingHandler

from headrace.errors import HeadraceError
from headrace.explanations.verdict import sanity_of
from headrace.models.engines.stored import open_and_check, read_stored
from headrace.serving.checking import Checked
from headrace.settings import Settings
from headrace.state.frames import Answer, Header, answer_frames
from headrace.state.home import Home
from headrace.state.ledger.rows import Version

_MOST_NOTES = 100
log = logging.getLogger("headrace")


def _begin(header: Header) -> tuple[Answer, Header]:
    logged = BufferingHandler(_MOST_NOTES)
    log.addHandler(logged)
    log.setLevel(logging.INFO)
    return partial(_check, Settings.model_validate(header["settings"]), logged), {}


def _check(
    settings: Settings, logged: BufferingHandler, header: Header, _: bytearray
) -> tuple[Header, bytes]:
    version = Version.model_validate(header["version"])
    logged.buffer.clear()
    stored = read_stored(version, settings)
    record, shape = None, ()
    if stored is not None and (engine := open_and_check(version, stored)) is not None:
        engine.close()
        record, shape = stored.record, stored.golden.outputs.shape[1:]
    sanity = None
    with contextlib.suppress(HeadraceError):
        ledger = Home(settings).ledger
        sanity = sanity_of(version.model, version.version, ledger)
    notes = tuple(entry.getMessage() for entry in logged.buffer)
    checked = Checked(engine=record, shape=shape, sanity=sanity, notes=notes)
    return checked.model_dump(mode="json"), b""


if __name__ == "__main__":
    answer_frames(_begin)
