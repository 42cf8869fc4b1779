"""A copy of the ledger's rows in the store, from which an edited row is restored.

The copy is a list of files ``ledger/FIRST-LAST.json``, each with the rows of some links
of the hash chain. A file is added and never written again. The store is not trusted,
and need not be: the links of the copy form the same hash chain. A row counts only if
its digest is in a link, and the links only if the database's chain goes on from them.
So nobody who can write the database alone can rewrite the chain unnoticed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from headrace.errors import HeadraceError, IntegrityError
from headrace.state.ledger import chain, tables
from headrace.state.ledger.database import Database
from headrace.state.ledger.stripped import check_copied, copied_files
from headrace.state.ledger.tables import COPY_FOLDER
from headrace.state.ledger.tamperings import Mismatch
from headrace.state.store import Store

_TABLES = {table.name: table for table in tables.CHAINED}
_ALL = {**_TABLES, tables.CHAIN.name: tables.CHAIN}

Row = dict[str, Any]
log = logging.getLogger("headrace")


@dataclass(frozen=True)
class Edit:
    """A row that is not as it was added.

    Attributes:
        table: its name.
        key: its unique key, as in the chain.
        row: as it was added; None for a row that Headrace never added.
        problem: ``was changed``, ``was removed`` or ``is in no link of the chain``.
    """

    table: str
    key: str
    row: Row | None = field(repr=False)
    problem: str

    @property
    def model(self) -> str:
        """The model that the row is about; empty if there is none."""
        return str((self.row or {}).get("model", ""))

    def __str__(self) -> str:
        return f"the ledger's row {self.key} of {self.table} {self.problem}"


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
            checked: a report on the chain without a problem; what was added since is
                checked.

        Returns:
            how many rows were copied.

        Raises:
            IntegrityError: the copy is not one of this ledger.
            DependencyError: the store or the database does not answer.
        """
        copied = len(self._copied)
        with self._database.reading() as connection:
            newer = tables.CHAIN.c.number > copied
            links = _rows(connection, tables.CHAIN, newer, order="number")
            if not links or chain.walk(connection, since=checked).problem:
                return 0
            self._check(connection)
            entries = [
                {
                    **link,
                    "values": chain.row_of(
                        connection, _TABLES[link["table"]], link["row"]
                    ),
                }
                for link in links
            ]
        first, last = links[0]["number"], links[-1]["number"]
        self._store.write_json(f"{COPY_FOLDER}/{first:09}-{last:09}.json", entries)
        return len(entries)

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
                what=f"row {edit.table} {edit.key}",
                message=f"T{str(edit)[1:]}.",
                model=edit.model,
                version=(edit.row or {}).get("version"),
            )
        if not edits:
            message = f"The ledger: {problem}."
            yield Mismatch(where="ledger", what="ledger", message=message)

    def _check(self, connection: sa.Connection) -> None:
        number = tables.CHAIN.c.number
        last = len(self._copied)
        links = _rows(connection, tables.CHAIN, number.between(last - 1, last + 1))
        if self._copied and not _goes_on(self._copied, links):
            raise IntegrityError(
                f"The ledger {self._database.name} does not go on from the copy of its "
                f"rows in {self._store.uri(COPY_FOLDER)}: one of them was written "
                "anew.",
                "Compare both with a backup, and a link that was noted elsewhere with "
                "`headrace verify --head LINK`. If the ledger is right, move that "
                "folder away.",
            )

    def restore(self) -> list[Edit]:
        """Write edited rows and links as they were added; returns what was restored.

        The triggers that refuse changes are dropped and made again in the same
        transaction.

        Raises:
            IntegrityError: the copy is not one of this ledger.
        """
        with self._database.locking() as connection:
            edits = self._edits(connection)
            gone = tables.missing_triggers(connection, _ALL.values())
            names = {edit.table for edit in edits}
            names |= {table for table in _ALL if any(g.startswith(table) for g in gone)}
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
            for name in names:
                tables.drop_triggers(connection, _ALL[name])
            for edit in sorted(edits, key=lambda edit: edit.row is not None):
                _write(connection, _ALL[edit.table], edit)
            for name in names:
                tables.add_triggers(connection, _ALL[name])
        return edits

    @cached_property
    def _copied(self) -> list[Row]:
        """The links and rows of the copy, as far as they form a chain."""
        copied: list[Row] = []
        for _, entries in copied_files(self._store):
            copied += entries
        link, valid = "", list[Row]()
        for entry in sorted(copied, key=itemgetter("number")):
            if entry["number"] <= len(valid):
                continue  # another process copied it at the same time
            if entry["number"] != len(valid) + 1:
                break
            link = chain.link_of(link, entry)
            if (
                link != entry["link"]
                or chain.row_digest(entry["values"]) != (entry["digest"])
            ):
                break
            valid.append(entry)
        return valid

    def _edits(self, connection: sa.Connection) -> list[Edit]:
        copied = self._copied
        links = _rows(connection, tables.CHAIN, order="number")
        self._check(connection)
        edits = []
        present = {link["number"]: link for link in links}
        for entry in copied:
            own = {k: v for k, v in entry.items() if k != "values"}
            if present.get(entry["number"]) != own:
                how = "was changed" if entry["number"] in present else "was removed"
                edits.append(Edit(tables.CHAIN.name, f"[{entry['number']}]", own, how))
        chained = {(n["table"], n["row"]) for n in [*copied, *links]}
        for table in tables.CHAINED:
            rows = {e["row"]: e["values"] for e in copied if e["table"] == table.name}
            digests = chain.digests_of(connection, table)
            for key, row in rows.items():
                if key not in digests:
                    edits.append(Edit(table.name, key, row, "was removed"))
                elif digests[key] != chain.row_digest(row):
                    edits.append(Edit(table.name, key, row, "was changed"))
            edits += [
                Edit(table.name, key, None, "is in no link of the chain")
                for key in digests
                if (table.name, key) not in chained
            ]
        return edits


def _goes_on(copied: Sequence[Row], links: Sequence[Row]) -> bool:
    """Whether the database's chain has the copy's last link, or goes on from it.

    An own last link that does not follow from the one before was edited. A copy that
    merely goes on from the database proves nothing.
    """
    last, by_number = copied[-1], {link["number"]: link for link in links}
    number = last["number"]
    own, after = by_number.get(number), by_number.get(number + 1)
    if own is not None and own["link"] == last["link"]:
        return True
    if after is not None:
        return bool(after["link"] == chain.link_of(last["link"], after))
    before = copied[-2]["link"] if copied[1:] else ""
    same_before = not copied[1:] or by_number.get(number - 1, {}).get("link") == before
    return own is not None and same_before and own["link"] != chain.link_of(before, own)


def _rows(
    connection: sa.Connection,
    table: sa.Table,
    *where: sa.ColumnElement[bool],
    order: str = "",
) -> list[Row]:
    query = sa.select(table).where(*where)
    if order:
        query = query.order_by(table.c[order])
    return [dict(row) for row in connection.execute(query).mappings()]


def _write(connection: sa.Connection, table: sa.Table, edit: Edit) -> None:
    names = tables.unique_columns(table)[0]
    same = [table.c[n] == v for n, v in zip(names, json.loads(edit.key), strict=True)]
    if edit.row is None:
        connection.execute(sa.delete(table).where(*same))
    elif edit.problem == "was removed":
        connection.execute(sa.insert(table).values(**edit.row))
    else:
        connection.execute(sa.update(table).where(*same).values(**edit.row))


def keep_rows(copy: LedgerCopy) -> None:
    """Copy the ledger's new rows into the store; a failure is only logged."""
    try:
        copy.keep()
    except HeadraceError as error:
        log.warning("the ledger's rows were not copied into the store: %s", error)
