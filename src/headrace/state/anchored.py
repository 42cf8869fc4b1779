"""The store, checked against the ledger.

Write access to the store does not include the ledger. So the ledger has the sha256 of
each file that counts as evidence; a file with another sha256, or with none, is ignored.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from headrace.records import Record
from headrace.state.ledger import Ledger
from headrace.state.store import Store

R = TypeVar("R", bound=Record)

log = logging.getLogger("headrace")


class AnchoredStore:
    """Bytes by key; bytes that differ from the sha256 in the ledger count as absent.

    Methods raise the errors of the store and of the ledger.

    Args:
        store: has the bytes; anyone may have changed them.
        ledger: has the sha256 of each file. It is recorded before the file is written,
            so that a killed process leaves no file without a record.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self.store = store
        self.ledger = ledger

    def read(self, key: str, recorded: str | None = None) -> bytes | None:
        """The bytes of a key; None if they are absent, or differ from the ledger.

        Args:
            key: of the file.
            recorded: the ledger's sha256 of it, if it is no anchor; empty if the
                ledger has none.
        """
        if recorded is None:
            recorded = self.ledger.files.anchors([key]).get(key)
        try:
            data = self.store.read(key)
        except FileNotFoundError:
            return None
        if recorded == hashlib.sha256(data).hexdigest():
            return data
        other = "is not the file that the ledger recorded"
        problem = other if recorded else "is not in the ledger"
        log.warning("%s %s: it is ignored.", self.store.uri(key), problem)
        return None

    def read_json(self, key: str) -> Any:
        """The JSON value of a key, or None."""
        try:
            return json.loads(self.read(key) or "null")
        except (ValueError, RecursionError):
            return None

    def read_record(self, key: str, kind: type[R]) -> R | None:
        """The record of a key; None also if it has another form."""
        try:
            return kind.model_validate_json(self.read(key) or b"")
        except ValidationError:
            return None

    def write(self, key: str, data: bytes) -> str:
        """Record a file and write it atomically; returns its URI."""
        return self.write_all({key: data})[key]

    def write_json(self, key: str, value: Any) -> str:
        """Record a JSON value and write it atomically; returns its URI."""
        return self.write(key, as_json(value))

    def write_all(
        self, files: Mapping[str, bytes], others: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Record files, all at once, and write each of them.

        Args:
            files: bytes by key.
            others: sha256 by key, of files that are there already.

        Returns:
            URIs by key.
        """
        digests = {k: hashlib.sha256(data).hexdigest() for k, data in files.items()}
        self.ledger.files.anchor({**(others or {}), **digests})
        return {key: self.store.write(key, data) for key, data in files.items()}

    def delete(self, key: str) -> None:
        """Delete a file; the ledger records that no bytes of this key count."""
        self.ledger.files.anchor({key: ""})
        self.store.delete(key)


def as_json(value: Any) -> bytes:
    """A JSON value as bytes."""
    return json.dumps(value, indent=1, sort_keys=True).encode()
