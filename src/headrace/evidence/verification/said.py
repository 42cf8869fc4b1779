"""What `headrace verify` said last, of everything and of models: a file of the home.

It is a note for people, with its time, and no evidence: nothing rests on it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from pydantic import RootModel, ValidationError

from headrace.home import PRIVATE_FILE
from headrace.records import Record
from headrace.state.disk import atomic_file
from headrace.state.ledger.records import utc_now

FILE = "verify.json"


class Said(Record):
    """The answer of one verification; ``when`` is ISO 8601, UTC."""

    when: str
    status: str
    reason: str


class _File(RootModel[dict[str, Said]]):
    """By model; that of everything has an empty name."""


def last_said(home: Path) -> dict[str, Said]:
    """The last answers by model, that of everything by an empty name."""
    try:
        return _File.model_validate_json((home / FILE).read_bytes()).root
    except (OSError, ValidationError):
        return {}


def note(home: Path, model: str, status: str, reason: str) -> None:
    """Note an answer, in place of the last one; a home that is read-only has none."""
    said = Said(when=utc_now(), status=status, reason=reason)
    said_before = {} if not model else last_said(home)
    with contextlib.suppress(OSError), atomic_file(home / FILE) as new:
        new.touch(PRIVATE_FILE)
        text = _File({**said_before, model: said}).model_dump_json()
        new.write_text(text + "\n", encoding="utf-8")
