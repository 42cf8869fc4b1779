"""The rows of the ledger that are about files of the store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headrace.records import Record
from headrace.state.ledger.rows import utc_now


class Anchor(Record):
    """What a file of the store is to be.

    Attributes:
        key: of the file in the store.
        digest: sha256 of its bytes; empty: what is there counts no longer.
        created: ISO 8601, UTC.
    """

    key: str
    digest: str
    created: str = Field(default_factory=utc_now)


class Adoption(Record):
    """What was taken over, once, from a release that recorded less.

    Attributes:
        what: ``ledger`` (its rows) or ``store`` (its files).
        count: number of rows or files.
        when: ISO 8601, UTC.
    """

    what: Literal["ledger", "store"]
    count: int
    who: str
    when: str = Field(default_factory=utc_now)
