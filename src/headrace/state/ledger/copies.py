"""A copy of the ledger's rows in the store, from which an edited row is restored.

The copy is a list of files ``ledger/FIRST-LAST.json``, each with some rows of the
chain. A file is added and never written again. The store is not trusted, and need not
be: the rows of the copy form the same hash chain. They count only if the database's
chain goes on from them. So nobody who can write the database alone can rewrite the
chain unnoticed.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from headrace.errors import HeadraceError, IntegrityError
from headrace.state.ledger import chain
from headrace.state.ledger.database import Database
from headrace.state.ledger.events import (
    COPY_FOLDER,
    EVENTS,
    Row,
    add_triggers,
    digest_of,
    drop_triggers,
    link_of,
    name_of,
    trigger_problem,
)
from headrace.state.ledger.stripped import check_copied, copied_files
from headrace.state.ledger.tamperings import Mismatch
from headrace.state.store import Store

_OF_VERSION = ("version", "approval", "binding", "map_check")
_NUMBER = re.compile(r"[0-9]{1,9}")
log = logging.getLogger("headrace")


@dataclass(frozen=True)
class LedgerEdit:
    """A row that is not as it was added.

    Attributes:
        row: as it was added; of one that Headrace never added, as it is.
        problem: ``was changed``, ``was removed`` or ``does not belong to the chain``.
        breaks_chain: whether a row that is added now would stand on it.
    """

    row: Row = field(repr=False)
    problem: str
    breaks_chain: bool = False

    @property
    def model(self) -> str:
        """The model that the row is about; empty if there is none."""
        return str(self.row["model"])

    @property
    def version(self) -> int | None:
        """The version that the row is about, if it says so; it may say anything."""
        number, body = self.row["subject"], self.row["body"]
        if self.row["kind"] not in _OF_VERSION:
            number = body.get("version") if isinstance(body, dict) else None
        return int(number) if _NUMBER.fullmatch(str(number)) else None

    @property
    def name(self) -> str:
        """The row in words."""
        return name_of(self.row)

    def __str__(self) -> str:
        return f"the ledger's {self.name} {self.problem}"


class LedgerCopy:
    """The copy of a ledger in a store.

    Args:
        url: of the ledger.
        store: where the copy is.
    """

    def __init__(self, url: str, store: Store) -> None:
        self._database = Database(url, timeout_seconds=30.0)
        self._store = store

    def keep(self, checked: chain.ChainReport | None = None) -> int:
        """Copy the rows that were added since the last copy.

        A chain that does not fit is not copied.

        Args:
            checked: a report on the chain without a problem. Only what was added since
                or is copied now is checked.

        Returns:
            how many rows were copied.

        Raises:
            IntegrityError: the copy is not one of this ledger.
            DependencyError: the store or the database does not answer.
        """
        with self._database.reading() as connection:
            rows = list(chain.read(connection, self._last))
            if not rows or chain.walk(connection, since=checked).problem:
                return 0
            self._check(connection)
        # The check may have gone on from a row after the end of the copy.
        link = self._copied[-1]["link"] if self._copied else ""
        if chain.find_break(rows, self._last + 1, link):
            return 0
        first, last = rows[0]["number"], rows[-1]["number"]
        text = json.dumps(rows, indent=1)  # unsorted, so that it is restored as it was
        self._store.write(f"{COPY_FOLDER}/{first:09}-{last:09}.json", text.encode())
        return len(rows)

    def mismatches(self, problem: str = "") -> Iterator[Mismatch]:
        """Whether the database goes on from the copy, or else which rows differ.

        Args:
            problem: of the chain. Only where there is one, rows are compared.
        """
        try:
            if not problem:
                check_copied(self._store)
            with self._database.reading() as connection:
                if problem:
                    edits = self._edits(connection)
                else:
                    self._check(connection)
                    return
        except IntegrityError as error:
            yield Mismatch(
                where="ledger",
                what="ledger" if problem else "copy of the ledger",
                message=f"The ledger: {problem}. {error.message}"
                if problem
                else error.message,
                action=error.action,
            )
            return
        for edit in edits:
            yield Mismatch(
                where="ledger",
                what=f"chain {edit.name}" if edit.breaks_chain else edit.name,
                message=f"T{str(edit)[1:]}.",
                model=edit.model,
                version=edit.version,
            )
        if not edits:
            message = f"The ledger: {problem}."
            yield Mismatch(where="ledger", what="ledger", message=message)

    def _check(self, connection: sa.Connection) -> None:
        last = self._last
        own = EVENTS.c.number.between(last - 1, last + 1)
        query = sa.select(EVENTS.c.number, EVENTS.c.digest, EVENTS.c.link).where(own)
        present = map(dict, connection.execute(query).mappings())
        rows = {row["number"]: row for row in present}
        if self._copied and not _goes_on(self._copied, rows):
            raise IntegrityError(
                f"The ledger {self._database.name} does not go on from the copy of its "
                f"rows in {self._store.uri(COPY_FOLDER)}: one of them was written "
                "anew.",
                "Compare both with a backup, and a link that was noted elsewhere with "
                "`headrace verify --head LINK`. If the ledger is right, such as "
                "a restored backup, move that folder away.",
            )

    def restore(self) -> list[LedgerEdit]:
        """Write edited rows as they were added; returns what was restored.

        The triggers that refuse changes are dropped and made again in the same
        transaction.

        Raises:
            IntegrityError: the copy is not one of this ledger, or a row that does not
                belong there has the place of one.
        """
        with self._database.locking() as connection:
            edits = self._edits(connection)
            if edits or trigger_problem(connection, EVENTS):
                drop_triggers(connection, EVENTS)
                for edit in edits:
                    _set_aside(connection, edit)
                for edit in edits:
                    self._write(connection, edit)
                add_triggers(connection, EVENTS)
        return edits

    def _write(self, connection: sa.Connection, edit: LedgerEdit) -> None:
        try:
            _write(connection, edit)
        except sa.exc.IntegrityError as error:
            raise IntegrityError(
                f"The ledger {self._database.name} cannot be restored from the store's "
                f"copy of its rows: {edit}, and another row has its place.",
                "Restore it from a backup.",
            ) from error

    @property
    def _last(self) -> int:
        """The number of the last row of the copy."""
        return self._copied[-1]["number"] if self._copied else 0

    @cached_property
    def _copied(self) -> list[dict[str, Any]]:
        """The rows of the copy, as far as they form a chain."""
        copied = [row for _, rows in copied_files(self._store) for row in rows]
        link, valid = "", list[dict[str, Any]]()
        for row in sorted(copied, key=itemgetter("number")):
            if row["number"] <= len(valid):
                continue  # another process copied it at the same time
            if chain.find_problem(row, len(valid) + 1, link):
                break
            link = row["link"]
            valid.append(row)
        return valid

    def _edits(self, connection: sa.Connection) -> list[LedgerEdit]:
        self._check(connection)
        present = {row["number"]: row for row in chain.read(connection)}
        edits = []
        for row in self._copied:
            own = present.get(row["number"])
            if own is None:
                edits.append(LedgerEdit(row, "was removed"))
            elif own != row:
                edits.append(LedgerEdit(row, "was changed", own["link"] != row["link"]))
        return [*_planted(present, len(self._copied)), *edits]


def _planted(present: Mapping[int, Row], copied: int) -> Iterator[LedgerEdit]:
    """The rows at the end that fit neither their digest nor the chain.

    One that fits its digest or the link before may have been added by Headrace and
    edited since. It is not removed.
    """
    numbers = sorted(number for number in present if number > copied)
    for number in reversed(numbers):
        row, before = present[number], present.get(number - 1)
        follows = row["link"] == link_of(str((before or {}).get("link", "")), row)
        if digest_of(row) == row["digest"] or follows:
            return
        yield LedgerEdit(row, "does not belong to the chain", breaks_chain=True)


def _goes_on(copied: list[dict[str, Any]], present: Mapping[int, Row]) -> bool:
    """Whether the database's chain has the copy's last link, or goes on from it.

    An own last link that does not follow from the one before was edited. A copy that
    merely goes on from the database proves nothing.
    """
    last = copied[-1]
    number = last["number"]
    own, after = present.get(number), present.get(number + 1)
    if own is not None and own["link"] == last["link"]:
        return True
    if after is not None:
        return bool(after["link"] == link_of(last["link"], after))
    before = copied[-2]["link"] if copied[1:] else ""
    same_before = not copied[1:] or present.get(number - 1, {}).get("link") == before
    return own is not None and same_before and own["link"] != link_of(before, own)


def _set_aside(connection: sa.Connection, edit: LedgerEdit) -> None:
    """Let a changed row be in nobody's way: rows may have been exchanged."""
    if edit.problem == "was changed":
        number = edit.row["number"]
        own = sa.update(EVENTS).where(EVENTS.c.number == number)
        connection.execute(own.values(kind="", step=-number))


def _write(connection: sa.Connection, edit: LedgerEdit) -> None:
    own = EVENTS.c.number == edit.row["number"]
    if edit.problem == "was changed":
        connection.execute(sa.update(EVENTS).where(own).values(**edit.row))
    elif edit.problem == "was removed":
        connection.execute(sa.insert(EVENTS).values(**edit.row))
    else:
        connection.execute(sa.delete(EVENTS).where(own))


def keep_rows(copy: LedgerCopy, checked: chain.ChainReport | None = None) -> None:
    """Copy the ledger's new rows into the store; a failure is only logged.

    Args:
        copy: of the ledger.
        checked: as in `LedgerCopy.keep`.
    """
    try:
        copy.keep(checked)
    except HeadraceError as error:
        log.warning("the ledger's rows were not copied into the store: %s", error)
