"""Whether a ledger without a signature was signed before.

Whoever can write to the database can take all signatures away. The next one would then
cover what he wrote. So before a first signature, the store is asked, too: it has what
only a key makes, and copies of the rows as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from headrace.errors import IntegrityError
from headrace.settings import Settings
from headrace.state.ledger.tables import ANCHORS, CHAIN, COPY_FOLDER
from headrace.state.store import Store

# Folders of the store with what only a key makes: the ledger's last signed link, and
# statements on versions and bundles.
_LEFT = ("heads", "signatures")
_KEYS = tuple(f"{folder}/" for folder in _LEFT)


def refuse_if_stripped(connection: sa.Connection, name: str) -> None:
    """Refuse a first signature of a ledger that was signed, or is not this store's.

    Args:
        connection: of a transaction of a ledger without signatures.
        name: of the ledger, for messages.

    Raises:
        IntegrityError: something was signed, or a copy of its rows has other rows.
    """
    store = Store(Settings().store)
    if found := next(_traces(connection, store), ""):
        folders = map(store.uri, (*_LEFT, COPY_FOLDER))
        raise IntegrityError(
            f"The ledger {name} has no signature, and {found}: its signatures were "
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
    recorded = sa.select(ANCHORS.c.key).where(
        sa.or_(*map(ANCHORS.c.key.startswith, _KEYS))
    )
    for key in connection.execute(recorded.order_by(ANCHORS.c.id)).scalars():
        yield f"{key} shows that it was signed"
    rows = connection.execute(sa.select(CHAIN.c.number, CHAIN.c.link))
    links = {row.number: row.link for row in rows}
    for name in store.names(COPY_FOLDER):
        key = f"{COPY_FOLDER}/{name}"
        entries = store.read_json(key)
        for entry in entries if isinstance(entries, list) else ():
            if problem := _problem(entry, links):
                yield f"{store.uri(key)}, a copy of its rows, {problem}"


def _problem(entry: Any, links: dict[int, str]) -> str:
    """What an entry of the copy shows; empty for a row of an unsigned ledger."""
    entry = entry if isinstance(entry, dict) else {}
    number, values = entry.get("number"), entry.get("values")
    key = values.get("key") if isinstance(values, dict) else None
    if isinstance(key, str) and entry.get("table") == ANCHORS.name:
        if key.startswith(_KEYS):
            return f"shows that it was signed: it names {key}"
    if isinstance(number, int) and entry.get("link") == links.get(number, ""):
        return ""
    return f"has another row {number if isinstance(number, int) else 'in it'}"
