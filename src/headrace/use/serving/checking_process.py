"""The process of `Checks`: it opens engines, and compares their golden answers."""

from __future__ import annotations

import contextlib
from functools import partial

from headrace.errors import DependencyError
from headrace.models.engines.kept import open_checked, read_kept
from headrace.settings import Settings
from headrace.state.frames import Header
from headrace.state.framing import Answer, answer_frames
from headrace.state.ledger.rows import Version
from headrace.use.serving.checking import Checked
from headrace.use.verdicts import sanity_of


def _begin(header: Header) -> tuple[Answer, Header]:
    return partial(_check, Settings.model_validate(header["settings"])), {}


def _check(settings: Settings, header: Header, _: bytearray) -> tuple[Header, bytes]:
    version = Version.model_validate(header["version"])
    kept = read_kept(version, settings) if settings.engines != "none" else None
    engine = kept and open_checked(version, kept)
    if engine is not None:
        engine.close()
    sanity = None
    with contextlib.suppress(DependencyError):
        sanity = sanity_of(version.model, version.version, settings)
    record = kept.record if kept is not None and engine is not None else None
    return Checked(engine=record, sanity=sanity).model_dump(mode="json"), b""


if __name__ == "__main__":
    answer_frames(_begin)
