"""How far a long ledger was checked, so that a look need not read all of it again.

The walk over a million rows takes half a minute. A look at a long ledger goes on from
the last one: the seal has the link up to which every row was read, and of each model a
digest over the links of its rows. So a past that was written anew is noticed by any
look, and a row of a model that was changed, added or taken away by a look at that
model. A row of another kind that is changed later is noticed by the next whole walk.

The seal is a file of the home, where neither who writes to the store nor who writes to
a database elsewhere can write. Where a key is set, it is signed, and counts only so.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import ValidationError

from headrace.errors import HeadraceError
from headrace.home import PRIVATE_FILE
from headrace.records import Record
from headrace.settings import Settings
from headrace.state.disk import atomic_file
from headrace.state.ledger import chain
from headrace.state.ledger.chain import ChainReport
from headrace.state.ledger.decisions import doubts_of
from headrace.state.regular import read_file
from headrace.state.signing.keys import TrustedKeys, signing_key, trusted_keys

if TYPE_CHECKING:
    from headrace.state.ledger import Ledger

FILE = "ledger-seal.json"
_WRITTEN_AFTER = 1000  # rows

log = logging.getLogger("headrace")


class Seal(Record):
    """What the last check of a long ledger has found.

    Attributes:
        first: the link of its first row, which no other ledger has.
        rows: number of rows that were checked.
        head: the last of their links.
        others: how many of them are no digests of files.
        models: of each model, a digest over the links of its rows.
        doubts: of models, what does not fit in their decisions.
        walked: when all rows were read, seconds since 1970.
        key: the id of the key that signed it; empty without one.
        signature: over all other values.
    """

    first: str
    rows: int
    head: str
    others: int
    models: Mapping[str, str]
    doubts: Mapping[str, tuple[str, ...]]
    walked: float
    key: str = ""
    signature: str = ""

    @property
    def report(self) -> ChainReport:
        """The report that a walk goes on from."""
        return ChainReport(self.rows, self.head, "", self.others, self.models)

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        values = self.model_dump(mode="json", exclude={"signature"})
        return f"headrace seal 1\n{json.dumps(values, sort_keys=True)}".encode()


class Seals:
    """The seal of the ledger of a home.

    Args:
        settings: with the home, and the keys.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._path = settings.home / FILE

    def read(self, ledger: Ledger, trusted: TrustedKeys | None = None) -> Seal | None:
        """The seal; None for a short ledger, or if there is none that counts.

        Args:
            ledger: whose seal it must be.
            trusted: the keys, one of which must have signed it; by default those of
                the settings.
        """
        if not ledger.is_long():
            return None
        seal = self._kept()
        if seal is None:
            return None
        trusted = trusted_keys(self._settings) if trusted is None else trusted
        is_signed = trusted.accept(seal.key, seal.signature, seal.signed_bytes())
        if seal.rows < chain.LONG or seal.first != ledger.link(1):
            return None
        if seal.walked > time.time():
            return None  # a clock was set back; it would never age
        return seal if is_signed or not trusted else None

    def _kept(self) -> Seal | None:
        """The seal in the file, whosoever's it is; None if there is none."""
        try:
            return Seal.model_validate_json(read_file(self._path))
        except (OSError, ValidationError):
            return None

    @property
    def can_be_kept(self) -> bool:
        """Whether this process can write a seal, and sign it where it must be signed.

        Raises:
            UsageError: a key of the settings cannot be used.
        """
        settings = self._settings
        counts = signing_key(settings) or not trusted_keys(settings)
        return bool(counts) and os.access(settings.home, os.W_OK)

    def renewed(
        self, ledger: Ledger, before: Seal | None
    ) -> tuple[ChainReport, Seal | None]:
        """Check what is new in a long ledger, and everything without an earlier seal.

        Returns:
            the report, and the seal; none where there is a problem.
        """
        report = ledger.walk_chain(since=before.report if before else None)
        if report.problem and before is None:
            self.drop(ledger)
        return report, self.keep(report, ledger, before)

    def keep(
        self, report: ChainReport, ledger: Ledger, before: Seal | None = None
    ) -> Seal | None:
        """Seal a long chain in which nothing was found, and write it now and then.

        Args:
            report: on the chain.
            ledger: that it is of.
            before: the seal that the check went on from; None if it read all rows.
        """
        if report.problem or report.rows < chain.LONG:
            return None
        known = before.models if before else {}
        new = [name for name, one in report.models.items() if known.get(name) != one]
        doubts = dict(before.doubts) if before else {}
        doubts |= {name: tuple(doubts_of(name, ledger)) for name in new}
        seal = Seal(
            first=before.first if before else ledger.link(1),
            rows=report.rows,
            head=report.head,
            others=report.others,
            models=report.models,
            doubts={name: told for name, told in doubts.items() if told},
            walked=before.walked if before else time.time(),
        )
        if (
            before is None
            or seal.rows // _WRITTEN_AFTER > before.rows // _WRITTEN_AFTER
        ):
            self._write(seal)
        return seal

    def drop(self, ledger: Ledger) -> None:
        """Delete the seal, so that the next look reads all rows.

        That is for who has found something wrong before the seal. A seal that the chain
        does not go on from stays: only it knows that the ledger was cut off.
        """
        seal = self._kept()
        if seal is not None and ledger.link(seal.rows) != seal.head:
            return
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s could not be deleted: %s", self._path, error)

    def _write(self, seal: Seal) -> None:
        """Write a seal; without one, the next look only takes longer."""
        try:
            if key := signing_key(self._settings):
                seal = seal.model_copy(update={"key": key.id})
                signature = key.sign(seal.signed_bytes())
                seal = seal.model_copy(update={"signature": signature})
            elif trusted_keys(self._settings):
                return  # it would not count
            with atomic_file(self._path) as temporary:
                temporary.touch(PRIVATE_FILE)
                temporary.write_text(seal.model_dump_json())
        except (HeadraceError, OSError) as error:
            log.info("how far the ledger was checked was not kept: %s", error)
