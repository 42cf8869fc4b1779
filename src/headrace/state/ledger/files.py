"""The digests of the store's files and the deployments, as the ledger recorded them.

The last row of a file or a name is valid. The ledger's database has a login of its own,
so write access to the store is not enough to change either.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import ClassVar

import sqlalchemy as sa
from pydantic import Field

from headrace.records import Record
from headrace.state.ledger.events import EVENTS, Event, columns, utc_now
from headrace.state.ledger.journal import Journal, about

_AT_ONCE = 100  # conditions of one query
# No history: once a training has ended, nothing rests on its checkpoints.
CHECKPOINTS = sa.Table(
    "checkpoints",
    sa.MetaData(),
    sa.Column("folder", sa.String, primary_key=True),
    *columns(sa.JSON, "digests"),
)


class Anchor(Event):
    """The sha256 of a file in the store by its key; an empty one: no bytes count."""

    KIND: ClassVar = "anchor"
    SUBJECT: ClassVar = "key"
    STEP: ClassVar = "step"
    VALUE: ClassVar = "digest"

    key: str
    step: int | None = None
    digest: str
    created: str = Field(default_factory=utc_now)


class Fact(Event):
    """What somebody recorded under a name; empty if it was withdrawn.

    A deployment has Prefect's name, ``<flow>/<deployment>``, and the entrypoint of its
    flow. `refusal_of` names one more fact of a pipeline.
    """

    KIND: ClassVar = "fact"
    SUBJECT: ClassVar = "name"
    VALUE: ClassVar = "value"

    name: str
    value: str
    who: str
    when: str = Field(default_factory=utc_now)


def refusal_of(pipeline: str) -> str:
    """The name under which the last refused run of a pipeline is recorded."""
    return f"refusal of {pipeline}"


class Refused(Record):
    """A run that was refused; the fact is this as JSON.

    Attributes:
        flow_run_id: of Prefect.
        run_id: of the run in MLflow that has its report; empty if there is none.
        reason: why, in a line.
    """

    flow_run_id: str
    run_id: str
    reason: str


class Files(Journal):
    """Digests of files by their keys in the store, and facts by their names."""

    def anchor(self, digests: Mapping[str, str]) -> None:
        """Record the digests of files in the store, in one transaction.

        Args:
            digests: sha256 by key; an empty one invalidates the file.

        Raises:
            DependencyError: another run has taken over the lease, or the database
                does not answer.
        """
        with self._adding() as rows:
            latest = _latest(rows.connection, Anchor, digests)
            for key, digest in digests.items():
                step, before = latest.get(key, (0, ""))
                if before != digest:
                    rows.add(Anchor(key=key, step=step + 1, digest=digest))

    def anchors(self, keys: Collection[str] | None = None) -> dict[str, str]:
        """The valid sha256 of each key that has one, in the order of their recording.

        Args:
            keys: by default all.
        """
        with self._database.reading() as connection:
            latest = _latest(connection, Anchor, keys)
        return {key: digest for key, (_, digest) in latest.items() if digest}

    def anchors_below(self, beginnings: Iterable[str]) -> dict[str, str]:
        """The valid sha256 of each key that begins with one of some texts."""
        latest: dict[str, tuple[int, str]] = {}
        with self._database.reading() as connection:
            waiting = iter(sorted(beginnings))
            while some := [*itertools.islice(waiting, _AT_ONCE)]:
                below = [_begins(EVENTS.c.subject, one, connection) for one in some]
                latest |= _latest(connection, Anchor, where=sa.or_(*below))
        return {key: digest for key, (_, digest) in latest.items() if digest}

    def last_anchor_below(self, folder: str) -> str:
        """The key below a folder that was recorded last; empty if there is none."""
        with self._database.reading() as connection:
            is_below = _begins(EVENTS.c.subject, folder, connection)
        last = self._last(Anchor, about(""), is_below)
        return last.key if last else ""

    def anchored_before(self, key: str) -> set[str]:
        """Every sha256 that a key has had, the present one included."""
        return {row.digest for row in self._all(Anchor, about("", key))} - {""}

    def recorded(self, name: str) -> str | None:
        """What is recorded under a name; None if nothing ever was."""
        last = self._last(Fact, about("", name))
        return last.value if last else None

    def record(self, facts: Mapping[str, str], who: str) -> None:
        """Record facts, except those that are recorded already.

        Args:
            facts: by name; an empty one withdraws what was recorded.
            who: the user who records them.
        """
        with self._database.reading() as connection:
            latest = _latest(connection, Fact, facts)
        none = 0, ""
        changed = {n: one for n, one in facts.items() if latest.get(n, none)[1] != one}
        if not changed:
            return
        with self._adding() as rows:
            for name, value in changed.items():
                rows.add(Fact(name=name, value=value, who=who))

    def keep_checkpoint(self, folder: str, key: str, digest: str, most: int) -> None:
        """Record a checkpoint, in place of the oldest one of the same training.

        Args:
            folder: of the training's checkpoints, in the store.
            key: of this one.
            digest: its sha256.
            most: how many of a training count.

        Raises:
            DependencyError: as `anchor`.
        """
        with self._replacing_checkpoints(folder) as digests:
            digests.pop(key, None)
            digests[key] = digest
            for old in [*digests][:-most]:
                del digests[old]

    def forget_checkpoints(self, folder: str) -> None:
        """Record that no checkpoint of a training counts any more."""
        if self.checkpoints(folder):
            with self._replacing_checkpoints(folder) as digests:
                digests.clear()

    def checkpoints(self, folder: str) -> dict[str, str]:
        """The sha256 of each checkpoint of a training that counts, by key."""
        self._database.ensure(CHECKPOINTS.metadata)
        query = sa.select(CHECKPOINTS.c.digests).where(CHECKPOINTS.c.folder == folder)
        return next((dict(row["digests"]) for row in self._database.rows(query)), {})

    @contextlib.contextmanager
    def _replacing_checkpoints(self, folder: str) -> Iterator[dict[str, str]]:
        own = CHECKPOINTS.c.folder == folder
        self._database.ensure(CHECKPOINTS.metadata)
        with self._adding() as rows:
            present = sa.select(CHECKPOINTS.c.digests).where(own)
            digests = dict(rows.connection.execute(present).scalar() or {})
            yield digests
            rows.connection.execute(sa.delete(CHECKPOINTS).where(own))
            if digests:
                values = {"folder": folder, "digests": digests}
                rows.connection.execute(sa.insert(CHECKPOINTS).values(values))


class Deployments(Files):
    """The deployments that ``headrace deploy`` made."""

    def all(self) -> dict[str, str]:
        """The entrypoint of every recorded deployment, by name.

        A name is as Prefect writes it, ``<flow>/<deployment>``.
        """
        with self._database.reading() as connection:
            latest = _latest(connection, Fact)
        return {name: value for name, (_, value) in latest.items() if value}


def _begins(
    column: sa.ColumnElement[str], text: str, connection: sa.Connection
) -> sa.ColumnElement[bool]:
    """That a text begins with another, so that SQLite finds it by its index."""
    if connection.dialect.name == "sqlite":
        return (column >= text) & (column < f"{text[:-1]}{chr(ord(text[-1]) + 1)}")
    return column.startswith(text, autoescape=True)


def _latest(
    connection: sa.Connection,
    kind: type[Anchor | Fact],
    subjects: Collection[str] | None = None,
    where: sa.ColumnElement[bool] | None = None,
) -> dict[str, tuple[int, str]]:
    """The last step and value of each subject, in the order of their recording."""
    value = EVENTS.c.body[kind.VALUE].as_string()
    query = sa.select(EVENTS.c.subject, EVENTS.c.step, value)
    query = query.where(EVENTS.c.kind == kind.KIND, about(""))
    if subjects is not None:
        query = query.where(EVENTS.c.subject.in_(subjects))
    if where is not None:
        query = query.where(where)
    latest: dict[str, tuple[int, str]] = {}
    for subject, step, text in connection.execute(query.order_by(EVENTS.c.number)):
        latest.pop(subject, None)
        latest[subject] = step, text
    return latest
