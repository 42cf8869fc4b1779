"""The digests of the store's files, as the ledger recorded them."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping

import sqlalchemy as sa

from headrace.state.ledger.database import Condition, Database
from headrace.state.ledger.schema import FILES

_AT_ONCE = 100  # conditions of one query
_DIGESTS = sa.select(FILES.c.key, FILES.c.sha256)


class Files:
    """What the bytes of a file in the store must be, by its key.

    Args:
        database: of the ledger.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def anchor(self, digests: Mapping[str, str]) -> None:
        """Record the digests of files in the store, in one transaction.

        Args:
            digests: sha256 by key; an empty one: no bytes count.

        Raises:
            DependencyError: another run has taken over the lease, or the database
                does not answer.
        """
        with self._database.adding() as connection:
            record_digests(connection, digests)

    def anchors(self, keys: Collection[str] | None = None) -> dict[str, str]:
        """The sha256 of each key that has one, in the order of their recording.

        Args:
            keys: by default all.
        """
        return self._find() if keys is None else self._find(FILES.c.key.in_(keys))

    def anchors_below(self, beginnings: Iterable[str]) -> dict[str, str]:
        """The sha256 of each key that begins with one of some texts."""
        found: dict[str, str] = {}
        for some in _slices(sorted(beginnings)):
            found |= self._find(sa.or_(*map(self._begins, some)))
        return found

    def last_anchor_below(self, folder: str) -> str:
        """The key below a folder that was recorded last; empty if there is none."""
        return next(reversed(self._find(self._begins(folder))), "")

    def anchored_before(self, key: str) -> set[str]:
        """The last sha256 of a key and the one before, which a killed run may leave."""
        query = sa.select(FILES.c.sha256, FILES.c.earlier).where(FILES.c.key == key)
        rows = self._database.rows(query)
        return {digest for row in rows for digest in row.values()} - {""}

    def _find(self, *where: Condition) -> dict[str, str]:
        rows = self._database.rows(_DIGESTS.where(*where).order_by(FILES.c.number))
        return {row["key"]: row["sha256"] for row in rows}

    def _begins(self, text: str) -> Condition:
        """That a key begins with a text, so that SQLite finds it by its index."""
        key = FILES.c.key
        if self._database.is_sqlite:
            return (key >= text) & (key < f"{text[:-1]}{chr(ord(text[-1]) + 1)}")
        return key.startswith(text, autoescape=True)


def record_digests(connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Record the digests of files in a transaction; an empty one: no bytes count."""
    last = connection.execute(sa.select(sa.func.max(FILES.c.number))).scalar() or 0
    numbers = itertools.count(last + 1)
    for keys in _slices(digests):
        own = connection.execute(_DIGESTS.where(FILES.c.key.in_(keys)))
        known = {row.key: row.sha256 for row in own}
        changed = {k: digests[k] for k in keys if known.get(k, "") != digests[k]}
        connection.execute(sa.delete(FILES).where(FILES.c.key.in_(changed)))
        for key, sha256 in changed.items():
            row = {"key": key, "sha256": sha256, "earlier": known.get(key, "")}
            if sha256:
                new = sa.insert(FILES).values(**row, number=next(numbers))
                connection.execute(new)


def _slices(values: Iterable[str]) -> Iterator[list[str]]:
    """Values in lists as long as a query takes them."""
    waiting = iter(values)
    while some := [*itertools.islice(waiting, _AT_ONCE)]:
        yield some
