"""Whether a ledger without a signature was signed before.

Whoever can write to the database can take all signatures away. The next one would then
cover what he wrote. So before a first signature, the store is asked, too: it has what
only a key makes, and copies of the rows as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NoReturn

import sqlalchemy as sa

from headrace.errors import IntegrityError
from headrace.state.ledger.events import COPY_FOLDER, EVENTS
from headrace.state.store import Store

# Folders of the store with what only a key makes: the ledger's last signed link, and
# statements on versions and bundles.
_LEFT = ("heads", "signatures")
_KEYS = tuple(f"{folder}/" for folder in _LEFT)
_ANCHOR = "anchor"  # the kind of a file's digest
_TEXTS = ("kind", "model", "subject", "digest", "link")


def refuse_if_stripped(connection: sa.Connection, name: str, store: Store) -> None:
    """Refuse a first signature of a ledger that was signed, or is not this store's.

    Args:
        connection: of a transaction of a ledger without signatures.
        name: of the ledger, for messages.
        store: beside the ledger.

    Raises:
        IntegrityError: something was signed, or a copy of its rows has other rows or
            cannot be read.
    """
    if trace := next(_traces(connection, store), ""):
        folders = map(store.uri, (*_LEFT, COPY_FOLDER))
        raise IntegrityError(
            f"The ledger {name} has no signature, and {trace}: its signatures were "
            "taken away, or another ledger was put in its place. Nothing was changed.",
            "Restore the ledger from a backup, and change who may write to its "
            "database. If this ledger is the right one, move the folders "
            f"{', '.join(folders)} away.",
        )


def _traces(connection: sa.Connection, store: Store) -> Iterator[str]:
    """What shows that the ledger was signed, or is another."""
    for folder in _LEFT:
        for name in store.names(folder):
            yield f"{store.uri(f'{folder}/{name}')} shows that it was signed"
    recorded = sa.select(EVENTS.c.subject).where(
        EVENTS.c.kind == _ANCHOR, sa.or_(*map(EVENTS.c.subject.startswith, _KEYS))
    )
    for key in connection.execute(recorded.order_by(EVENTS.c.number)).scalars():
        yield f"{key} shows that it was signed"
    rows = connection.execute(sa.select(EVENTS.c.number, EVENTS.c.link))
    links = {row.number: row.link for row in rows}
    for key, entries in copied_files(store):
        for entry in entries or _refuse_unread(store.uri(key)):
            if problem := _problem(entry, links):
                yield f"{store.uri(key)}, a copy of its rows, {problem}"


def copied_files(store: Store) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The keys of the files of the copy, and their rows; none of a damaged file."""
    for name in store.names(COPY_FOLDER):
        if not name.startswith("."):  # of a file that is being written
            entries = store.read_json(key := f"{COPY_FOLDER}/{name}")
            is_whole = isinstance(entries, list) and all(map(_is_row, entries))
            yield key, entries if is_whole else []


def check_copied(store: Store) -> None:
    """Raise IntegrityError if a file of the copy cannot be read as a list of rows."""
    for key, entries in copied_files(store):
        if not entries:
            _refuse_unread(store.uri(key))


def _refuse_unread(uri: str) -> NoReturn:
    raise IntegrityError(
        f"{uri}, a copy of the ledger's rows, cannot be read as a list of rows: it was "
        "changed or damaged, and does not show what the ledger was. Nothing was "
        "changed.",
        "Restore that file from a backup of the store. If `headrace verify` finds the "
        "ledger right, move the file away: its rows are copied anew when a version "
        "becomes the champion, and by the watch.",
    )


def _is_row(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("number"), int)
        and entry.keys() == set(EVENTS.c.keys())
        and all(isinstance(entry[name], str) for name in _TEXTS)
    )


def _problem(entry: dict[str, Any], links: dict[int, str]) -> str:
    """What an entry of the copy shows; empty for a row of an unsigned ledger."""
    number, key = entry["number"], entry["subject"]
    if entry["kind"] == _ANCHOR and key.startswith(_KEYS):
        return f"shows that it was signed: it names {key}"
    return "" if entry["link"] == links.get(number) else f"has another row {number}"
